namespace Polyhost;

/// <summary>The options a module is loaded with: <c>key=value</c> lines.</summary>
internal sealed class Config
{
    /// <summary>Folders and files where a module's assemblies are found, besides its own folder.</summary>
    internal string[] References { get; private init; } = [];

    /// <summary>The folder of the C# compiler's libraries; <see langword="null"/> where there is none.</summary>
    internal string? Roslyn { get; private init; }

    internal static Config Parse(string text)
    {
        string[] references = [];
        string? roslyn = null;
        foreach (var line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            var (key, value) = line.IndexOf('=') is >= 0 and var at ? (line[..at], line[(at + 1)..]) : (line, "");
            switch (key)
            {
                case "references":
                    references = value.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
                    break;
                case "roslyn":
                    roslyn = value.Length == 0 ? null : value;
                    break;
                default:
                    throw new BoundaryException(ErrorKind.Config, $"unknown option {key}; the .NET shim knows: references, roslyn");
            }
        }
        return new Config { References = references, Roslyn = roslyn };
    }
}

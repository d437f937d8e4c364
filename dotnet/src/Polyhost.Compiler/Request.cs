using Microsoft.CodeAnalysis.CSharp;

namespace Polyhost.Compiler;

/// <summary>A file of C#, with the path that errors and stack traces give.</summary>
internal sealed record Source(string Path, string Text)
{
    internal static Source Read(string path)
    {
        try
        {
            return new(path, File.ReadAllText(path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CompileException($"can't read {path}: {e.Message}", [new CompileError("", e.Message, path, 0, 0, "")]);
        }
    }
}

/// <summary>What to compile, and how.</summary>
internal sealed class Request
{
    /// <summary>The assembly's name.</summary>
    internal required string Name { get; init; }

    internal required List<Source> Sources { get; init; }

    /// <summary>Assemblies to compile against, besides the framework's.</summary>
    internal List<string> References { get; init; } = [];

    /// <summary>Where assemblies are found that a <c>using</c> names.</summary>
    internal List<string> Folders { get; init; } = [];

    internal List<string> Defines { get; init; } = [];

    /// <summary>Whether it has a <c>Main</c>.</summary>
    internal bool IsProgram { get; init; }

    /// <summary>Whether the implicit usings are those of a web application.</summary>
    internal bool IsWeb { get; init; }

    /// <summary>No implicit usings, and no nullable annotations.</summary>
    internal bool IsPlain { get; init; }

    internal LanguageVersion Language { get; init; } = LanguageVersion.Default;

    /// <summary>The assembly's version.</summary>
    internal string Version { get; init; } = "1.0.0.0";
}

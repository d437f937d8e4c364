using System.Text;

namespace Polyhost.AspNetCore;

/// <summary>What the host says of an application that is to start.</summary>
internal sealed class AppSettings
{
    internal required uint App { get; init; }

    /// <summary>Absolute path of the assembly.</summary>
    internal string Assembly { get; private set; } = "";

    internal string[] Arguments { get; private set; } = [];

    /// <summary>Whether the process was started for it, so that it lives in the default load context.</summary>
    internal bool DefaultContext { get; private set; }

    /// <summary>Variables that this application sees besides the process's own.</summary>
    internal Dictionary<string, string> Environment { get; } = [];

    /// <summary>Reads pairs of a name and a value, each ended by a zero.</summary>
    internal static unsafe AppSettings Parse(AppStart* start)
    {
        var settings = new AppSettings { App = start->App };
        var arguments = new List<string>();
        var parts = Encoding.UTF8.GetString(start->Settings.Span).Split('\0');
        for (var i = 0; i + 1 < parts.Length; i += 2)
        {
            var value = parts[i + 1];
            switch (parts[i])
            {
                case "assembly":
                    settings.Assembly = value;
                    break;
                case "argument":
                    arguments.Add(value);
                    break;
                case "environment":
                    var equals = value.IndexOf('=');
                    settings.Environment[value[..equals]] = value[(equals + 1)..];
                    break;
                case "default-context":
                    settings.DefaultContext = value == "true";
                    break;
                default:
                    throw new ArgumentException($"unknown setting {parts[i]}; host and Polyhost.AspNetCore are of different releases");
            }
        }
        settings.Arguments = [.. arguments];
        return settings;
    }
}

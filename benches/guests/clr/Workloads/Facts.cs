using System.Diagnostics;
using System.Reflection;
using System.Runtime;
using System.Text;
using Google.Protobuf;

namespace BenchWorkloads;

/// <summary>What numbers of .NET depend on, a line <c>NAME: VALUE</c> each.</summary>
internal static class Facts
{
    internal static byte[] Tell()
    {
        var facts = new (string Name, string Value)[]
        {
            ("garbage collector", Collector()),
            ("tiered compilation", Switch("System.Runtime.TieredCompilation", "TieredCompilation")),
            ("tiered PGO", Switch("System.Runtime.TieredPGO", "TieredPGO")),
            ("ReadyToRun", Switch(null, "ReadyToRun")),
            ("protobuf", $"Google.Protobuf {VersionOf(typeof(IMessage).Assembly)}"),
            ("guest", IsOptimized(typeof(Facts).Assembly) ? "optimized" : "not optimized: a debug build"),
        };
        return Encoding.UTF8.GetBytes(string.Concat(facts.Select(fact => $"{fact.Name}: {fact.Value}\n")));
    }

    private static string Collector()
    {
        // What the collector itself has been told: of variables, of the runtime's options and by default.
        IReadOnlyDictionary<string, object> told = GC.GetConfigurationVariables();
        string kind = GCSettings.IsServerGC ? "server" : "workstation";
        string concurrent = GCSettings.LatencyMode is GCLatencyMode.Batch ? "not concurrent" : "concurrent";
        string heaps = told.TryGetValue("HeapCount", out object? count) && GCSettings.IsServerGC
            ? $", {count} heaps"
            : "";
        string limit = told.TryGetValue("GCHeapHardLimit", out object? bytes) && Convert.ToInt64(bytes) > 0
            ? $", at most {bytes} bytes"
            : "";
        return $"{kind}, {concurrent}{heaps}{limit}";
    }

    // The runtime does not tell what it makes of these. A variable goes before the runtime's options; all are on by
    // default.
    private static string Switch(string? property, string variable)
    {
        foreach (string name in new[] { "DOTNET_" + variable, "COMPlus_" + variable })
        {
            if (Environment.GetEnvironmentVariable(name) is { Length: > 0 } value)
            {
                return $"{(value.Trim('0').Length > 0 ? "on" : "off")}, by {name}";
            }
        }

        return property is not null && AppContext.GetData(property) is string text && bool.TryParse(text, out bool on)
            ? $"{(on ? "on" : "off")}, by the runtime's options"
            : "on, by default";
    }

    private static string VersionOf(Assembly assembly)
    {
        string? version = assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion;
        // Behind it stands the commit.
        return version?.Split('+')[0] ?? assembly.GetName().Version?.ToString() ?? "of an unknown version";
    }

    private static bool IsOptimized(Assembly assembly) =>
        assembly.GetCustomAttribute<DebuggableAttribute>() is not { IsJITOptimizerDisabled: true };
}

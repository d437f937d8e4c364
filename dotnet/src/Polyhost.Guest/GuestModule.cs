using System.Collections.Concurrent;

namespace Polyhost;

/// <summary>A loaded module as its call contexts see it.</summary>
internal sealed class GuestModule(string name, ulong id)
{
    internal string Name { get; } = name;

    /// <summary>The host's id of it, for the log.</summary>
    internal ulong Id { get; } = id;

    /// <summary>Ids of the host services that it has called; good as long as it is open.</summary>
    internal ConcurrentDictionary<string, uint> Services { get; } = new(StringComparer.Ordinal);
}

namespace Polyhost.AspNetCore;

/// <summary>One application of this process: its id in every call across the boundary, and what it asked for.</summary>
internal sealed class AppRegistration(uint id)
{
    /// <summary>The host's id of it; never 0.</summary>
    internal uint Id { get; } = id;

    internal ServerOptions Options { get; } = new();

    /// <summary>What it has marked to run inline; read when its pipeline is built.</summary>
    internal Func<InlineRoutes> Routes { get; init; } = static () => new InlineRoutes();

    /// <summary>The server that takes its requests, between start and stop.</summary>
    internal HostServer? Server { get; set; }
}

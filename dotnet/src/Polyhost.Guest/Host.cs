namespace Polyhost;

/// <summary>The host's functions, once the shim has started.</summary>
internal static unsafe class Host
{
    /// <summary>Null outside of a host, as in a unit test of a guest. Valid as long as the process.</summary>
    internal static PolyhostHost* Table;
}

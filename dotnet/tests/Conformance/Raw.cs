using Polyhost;

namespace Conformance;

/// <summary>The exports that take and return bytes.</summary>
internal static class Raw
{
    /// <summary>Returns the input.</summary>
    [Export("raw/Echo")]
    private static void Echo(ReadOnlySpan<byte> input, Output output) => output.Write(input);
}

using System;
using System.Runtime.InteropServices;
using Polyhost;

namespace Bench;

/// <summary>What the bench calls in C#.</summary>
public static class BenchGuest
{
    /// <summary>Returns the request.</summary>
    [Export("bench/Echo")]
    public static void Echo(ReadOnlySpan<byte> input, Output output) => output.Write(input);

    /// <summary>Runs until its call is to stop.</summary>
    [Export("bench/Spin")]
    public static byte[] Spin(byte[] _, CallContext context)
    {
        for (var token = context.CancellationToken; ;)
        {
            token.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Returns the address of <see cref="Floor.Call"/>, 8 bytes.</summary>
    [Export("bench/Floor")]
    public static unsafe byte[] FloorAddress(byte[] _) =>
        BitConverter.GetBytes((long)(delegate* unmanaged<int, byte*, nint, byte*, nint, nint>)&Floor.Call);
}

/// <summary>The least that a call into C# takes when it is written by hand: one entry, an id, a table, a try.</summary>
internal static unsafe class Floor
{
    private static readonly SpanFunction[] s_functions = [Echo];

    private delegate int SpanFunction(ReadOnlySpan<byte> input, Span<byte> output);

    /// <summary>Returns the length of the reply, or -1.</summary>
    [UnmanagedCallersOnly]
    internal static nint Call(int id, byte* input, nint inputLength, byte* output, nint capacity)
    {
        try
        {
            var function = s_functions[id];
            return function(new ReadOnlySpan<byte>(input, (int)inputLength), new Span<byte>(output, (int)capacity));
        }
        catch (Exception)
        {
            return -1;
        }
    }

    private static int Echo(ReadOnlySpan<byte> input, Span<byte> output)
    {
        input.CopyTo(output);
        return input.Length;
    }
}

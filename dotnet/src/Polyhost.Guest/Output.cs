using System.Runtime.CompilerServices;

namespace Polyhost;

/// <summary>
/// The buffer that a call's reply is written to: memory of the host, valid until the method returns.
/// </summary>
/// <remarks>What is written is appended. It has a limit, which the caller sets; to pass it ends the call with
/// <c>RESOURCE_EXHAUSTED</c>. When the method throws, the host drops what was written.</remarks>
public readonly unsafe ref struct Output
{
    private readonly PolyhostOutput* _output;

    internal Output(PolyhostOutput* output, PolyhostCall* call)
    {
        _output = output;
        Call = call;
    }

    internal PolyhostCall* Call { get; }

    /// <summary>Appends <paramref name="bytes"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Write(ReadOnlySpan<byte> bytes)
    {
        var output = _output;
        if (Room(output) < (nuint)bytes.Length)
        {
            Reserve(output, (nuint)bytes.Length);
        }
        bytes.CopyTo(new Span<byte>(output->Data + output->Length, bytes.Length));
        output->Length += (nuint)bytes.Length;
    }

    /// <summary>Makes room for <paramref name="size"/> bytes at least, and gives all the room there is. Write to it,
    /// then call <see cref="Advance"/>; the next write may move it.</summary>
    public Span<byte> GetSpan(int size = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        var output = _output;
        if (Room(output) < (nuint)size)
        {
            Reserve(output, (nuint)size);
        }
        return new Span<byte>(output->Data + output->Length, (int)Math.Min(Room(output), int.MaxValue));
    }

    /// <summary>Says that <paramref name="count"/> bytes were written to what <see cref="GetSpan"/> gave.</summary>
    public void Advance(int count)
    {
        var room = Room(_output);
        if ((uint)count > room || count < 0)
        {
            throw new ArgumentOutOfRangeException(nameof(count), count, $"there is room for {room} bytes");
        }
        _output->Length += (nuint)count;
    }

    /// <summary>A buffer that was used before may be larger than what this call may write.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static nuint Room(PolyhostOutput* output) => Math.Min(output->Capacity, output->Limit) - output->Length;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Reserve(PolyhostOutput* output, nuint additional)
    {
        if (Host.Table->OutputReserve(output, additional) != 0)
        {
            throw new BoundaryException(ErrorKind.Exhausted, $"the reply is over its limit of {output->Limit} bytes "
                + $"({output->Length} written, {additional} more asked for); raise the limit or reply with less");
        }
    }
}

using System.Buffers;

namespace Polyhost.AspNetCore;

/// <summary>Memory of the host that the application writes a response to.</summary>
/// <remarks>The host takes it over when it is sent. What the application has kept of it finds nothing then.</remarks>
internal sealed unsafe class NativeBlock : MemoryManager<byte>
{
    private nint _data;
    private int _capacity;

    internal int Capacity => _capacity;

    /// <summary>How many bytes were written.</summary>
    internal int Length { get; set; }

    internal void Allocate(int atLeast)
    {
        var block = Native.BlockNew(atLeast);
        Length = 0;
        _data = (nint)block.Data;
        Volatile.Write(ref _capacity, (int)block.Capacity);
    }

    /// <summary>Gives the memory away, to one caller alone; null for any other.</summary>
    internal byte* Detach()
    {
        Volatile.Write(ref _capacity, 0);
        return (byte*)Interlocked.Exchange(ref _data, 0);
    }

    internal void Free()
    {
        var data = Detach();
        if (data is not null)
        {
            Native.BlockFree(data);
        }
    }

    public override Span<byte> GetSpan()
    {
        // In this order: what is given away has no capacity before it has no address.
        var data = (byte*)Volatile.Read(ref _data);
        return new(data, Volatile.Read(ref _capacity));
    }

    public override MemoryHandle Pin(int elementIndex = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)elementIndex, (uint)_capacity, nameof(elementIndex));
        return new MemoryHandle((byte*)_data + elementIndex);
    }

    public override void Unpin()
    {
        // It does not move.
    }

    protected override void Dispose(bool disposing)
    {
        // The writer frees it.
    }
}

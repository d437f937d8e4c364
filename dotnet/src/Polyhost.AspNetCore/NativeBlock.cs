using System.Buffers;

namespace Polyhost.AspNetCore;

/// <summary>Memory of the host that the application writes a response to.</summary>
/// <remarks>The host takes it over when it is sent. What the application has kept of it finds nothing then.</remarks>
internal sealed unsafe class NativeBlock : MemoryManager<byte>
{
    private Block _block;

    internal int Capacity => (int)_block.Capacity;

    /// <summary>How many bytes were written.</summary>
    internal int Length { get; set; }

    internal void Allocate(int atLeast)
    {
        _block = Native.BlockNew(atLeast);
        Length = 0;
    }

    /// <summary>Gives the memory away.</summary>
    internal byte* Detach()
    {
        var data = _block.Data;
        _block = default;
        return data;
    }

    internal void Free()
    {
        if (_block.Data is not null)
        {
            Native.BlockFree(Detach());
        }
    }

    public override Span<byte> GetSpan() => new(_block.Data, (int)_block.Capacity);

    public override MemoryHandle Pin(int elementIndex = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)elementIndex, (uint)_block.Capacity, nameof(elementIndex));
        return new MemoryHandle(_block.Data + elementIndex);
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

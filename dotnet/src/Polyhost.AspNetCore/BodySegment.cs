using System.Buffers;

namespace Polyhost.AspNetCore;

/// <summary>Bytes of a request's body in memory of the host, as a segment of what the application reads.</summary>
internal sealed class BodySegment : ReadOnlySequenceSegment<byte>
{
    private readonly ChunkMemory _memory = new();

    internal new BodySegment? Next
    {
        get => (BodySegment?)base.Next;
        set => base.Next = value;
    }

    internal int Length => Memory.Length;

    /// <summary>Takes over a chunk, as what follows <paramref name="previous"/>.</summary>
    internal void Take(in Chunk chunk, BodySegment? previous)
    {
        _memory.Take(chunk);
        Memory = _memory.Memory;
        Next = null;
        RunningIndex = previous is null ? 0 : previous.RunningIndex + previous.Length;
        if (previous is not null)
        {
            previous.Next = this;
        }
    }

    /// <summary>Gives the chunk back. What the application has kept of it finds nothing then.</summary>
    internal void Free()
    {
        _memory.Free();
        Memory = default;
        Next = null;
    }

    private sealed unsafe class ChunkMemory : MemoryManager<byte>
    {
        private Chunk _chunk;

        internal void Take(in Chunk chunk) => _chunk = chunk;

        internal void Free()
        {
            var handle = Interlocked.Exchange(ref _chunk.Handle, 0);
            _chunk = default;
            if (handle != 0)
            {
                Native.BytesFree(handle);
            }
        }

        public override Span<byte> GetSpan() => new(_chunk.Data, checked((int)_chunk.Length));

        public override MemoryHandle Pin(int elementIndex = 0)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(
                (uint)elementIndex, (uint)_chunk.Length, nameof(elementIndex));
            return new MemoryHandle(_chunk.Data + elementIndex);
        }

        public override void Unpin()
        {
            // It does not move.
        }

        protected override void Dispose(bool disposing)
        {
            // The reader frees it.
        }
    }
}

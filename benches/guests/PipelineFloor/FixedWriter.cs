using System.IO.Pipelines;

namespace PipelineFloor;

/// <summary>Takes a small body into memory that is there already.</summary>
internal sealed class FixedWriter : PipeWriter
{
    private readonly byte[] _bytes = new byte[4096];
    private int _written;

    internal ReadOnlySpan<byte> Written => _bytes.AsSpan(0, _written);

    internal void Reset() => _written = 0;

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => _written;

    public override void Advance(int bytes) => _written += bytes;

    public override Memory<byte> GetMemory(int sizeHint = 0) => _bytes.AsMemory(_written);

    public override Span<byte> GetSpan(int sizeHint = 0) => _bytes.AsSpan(_written);

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) => default;

    public override void CancelPendingFlush()
    {
    }

    public override void Complete(Exception? exception = null)
    {
    }
}

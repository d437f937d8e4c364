using System.IO.Pipelines;

namespace Polyhost.AspNetCore;

/// <summary>The body of a response as a stream: every write goes out by itself.</summary>
internal sealed class ResponseBodyStream(RequestContext context, ResponseBodyWriter writer) : Stream
{
    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Flush()
    {
        ThrowIfSynchronous();
        Wait(writer.FlushAsync());
    }

    public override Task FlushAsync(CancellationToken cancellationToken)
    {
        var flush = writer.FlushAsync(cancellationToken);
        if (flush.IsCompletedSuccessfully)
        {
            return Task.CompletedTask;
        }
        return flush.AsTask();
    }

    public override void Write(byte[] buffer, int offset, int count)
    {
        ThrowIfSynchronous();
        Wait(writer.WriteAsync(buffer.AsMemory(offset, count)));
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        Plain(writer.WriteAsync(buffer, cancellationToken));

    public override IAsyncResult BeginWrite(
        byte[] buffer, int offset, int count, AsyncCallback? callback, object? state) =>
        TaskToAsyncResult.Begin(WriteAsync(buffer, offset, count, default), callback, state);

    public override void EndWrite(IAsyncResult asyncResult) => TaskToAsyncResult.End(asyncResult);

    internal void WriteUpgraded(ReadOnlySpan<byte> buffer)
    {
        ThrowIfSynchronous();
        Wait(writer.WriteUpgraded(buffer, default));
    }

    internal ValueTask WriteUpgradedAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken) =>
        cancellationToken.IsCancellationRequested
            ? ValueTask.FromCanceled(cancellationToken)
            : Plain(writer.WriteUpgraded(buffer.Span, cancellationToken));

    private static ValueTask Plain(ValueTask<FlushResult> write)
    {
        return write.IsCompletedSuccessfully ? default : Await(write);

        // Not of a pooling builder; see RequestBodyStream.
        static async ValueTask Await(ValueTask<FlushResult> write) => await write.ConfigureAwait(false);
    }

    private void Wait(ValueTask<FlushResult> write)
    {
        if (!write.IsCompleted && context.IsOnHostThread)
        {
            // The bytes are with the host, and room there is made by this thread.
            return;
        }
        write.AsTask().GetAwaiter().GetResult();
    }

    private void ThrowIfSynchronous()
    {
        if (!context.AllowSynchronousIO)
        {
            throw new InvalidOperationException(Messages.SynchronousWrites);
        }
    }
}

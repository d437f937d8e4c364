using System.Buffers;
using System.IO.Pipelines;

namespace Polyhost.AspNetCore;

/// <summary>The body of a request as a stream.</summary>
internal sealed class RequestBodyStream(RequestContext context, RequestBodyReader reader) : Stream
{
    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(byte[] buffer, int offset, int count)
    {
        if (!context.AllowSynchronousIO)
        {
            throw new InvalidOperationException(Messages.SynchronousReads);
        }
        var read = ReadAsync(buffer.AsMemory(offset, count));
        if (!read.IsCompleted && context.IsOnHostThread)
        {
            reader.CancelPendingRead();
            throw new InvalidOperationException(Messages.BlockingRead);
        }
        return read.AsTask().GetAwaiter().GetResult();
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var read = reader.ReadAsync(cancellationToken);
        return read.IsCompletedSuccessfully ? new ValueTask<int>(Take(read.Result, buffer)) : Await(read, buffer);
    }

    public override async Task CopyToAsync(Stream destination, int bufferSize, CancellationToken cancellationToken)
    {
        ValidateCopyToArguments(destination, bufferSize);
        await reader.CopyToAsync(destination, cancellationToken);
    }

    public override IAsyncResult BeginRead(
        byte[] buffer, int offset, int count, AsyncCallback? callback, object? state) =>
        TaskToAsyncResult.Begin(ReadAsync(buffer, offset, count, default), callback, state);

    public override int EndRead(IAsyncResult asyncResult) => TaskToAsyncResult.End<int>(asyncResult);

    public override void Flush()
    {
        // Nothing is written.
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <summary>Not of a pooling builder: whoever takes the result before it is there (<c>.Result</c>) would have that put
    /// the state machine back into its pool while it still waits, and the process end where it goes on.</summary>
    private async ValueTask<int> Await(ValueTask<ReadResult> read, Memory<byte> buffer) =>
        Take(await read.ConfigureAwait(false), buffer);

    private int Take(in ReadResult result, Memory<byte> buffer)
    {
        var count = reader.Take(result, buffer.Span);
        return !result.IsCanceled ? count : throw new OperationCanceledException("The read was canceled");
    }
}

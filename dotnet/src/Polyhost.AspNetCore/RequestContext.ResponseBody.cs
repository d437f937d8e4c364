using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace Polyhost.AspNetCore;

internal abstract partial class RequestContext : IHttpResponseBodyFeature
{
    Stream IHttpResponseBodyFeature.Stream => _responseStream;

    PipeWriter IHttpResponseBodyFeature.Writer => _writer;

    void IHttpResponseBodyFeature.DisableBuffering()
    {
        // Nothing is held back after a flush.
    }

    Task IHttpResponseBodyFeature.StartAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var start = StartResponse(0);
        return start.IsCompletedSuccessfully ? Task.CompletedTask : start.AsTask();
    }

    async Task IHttpResponseBodyFeature.SendFileAsync(
        string path, long offset, long? count, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var file = new FileInfo(path);
        if (offset < 0 || offset > file.Length)
        {
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{path} has {file.Length} bytes");
        }
        if (count is { } wanted && (wanted < 0 || wanted > file.Length - offset))
        {
            throw new ArgumentOutOfRangeException(nameof(count), count, $"{path} has {file.Length} bytes");
        }
        var length = count ?? file.Length - offset;
        if (length == 0)
        {
            // Nothing is written, so the response does not start.
            return;
        }
        await StartResponse(length);
        ThrowIfNoBody((int)Math.Min(length, int.MaxValue));
        if (IsAborted || !SendsBody)
        {
            await _writer.FlushAsync(cancellationToken);
            return;
        }
        CheckLastWrite();
        await _writer.SendFileAsync(file.FullName, offset, length, cancellationToken);
    }

    Task IHttpResponseBodyFeature.CompleteAsync() => CompleteResponse(null);

    /// <summary>Ends the response, as far as the client is concerned; the application may go on.</summary>
    internal async Task CompleteResponse(Exception? error)
    {
        if (error is not null)
        {
            ReportError(new ConnectionAbortedException(Messages.CompletedWithException, error));
            if (HasStarted)
            {
                AbortConnection();
            }
        }
        if (!HasStarted && _onStarting?.Count > 0)
        {
            await FireOnStarting();
        }
        if (_isCompleted || IsAborted)
        {
            return;
        }
        if (LengthMismatch() is { } mismatch)
        {
            throw mismatch;
        }
        SendLast(PrepareEnd());
    }
}

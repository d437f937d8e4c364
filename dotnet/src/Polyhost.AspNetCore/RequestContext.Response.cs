using System.IO.Pipelines;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Net.Http.Headers;

namespace Polyhost.AspNetCore;

internal abstract partial class RequestContext : IHttpResponseFeature
{
    private Stack<(Func<object, Task> Callback, object State)>? _onStarting;
    private Stack<(Func<object, Task> Callback, object State)>? _onCompleted;

    private int _statusCode;
    private string? _reasonPhrase;
    private bool _isHeadSent;
    private bool _isOpenEnded;
    private bool _isCompleted;
    private long _written;
    private Exception? _failure;
    private BadHttpRequestException? _rejection;
    private Stream? _givenResponseBody;

    /// <summary>Whether the head is decided: what the application sets after that is refused.</summary>
    internal bool HasStarted { get; private set; }

    /// <summary>Whether bytes of a body go to the client; false only once the response has started.</summary>
    internal bool SendsBody { get; private set; }

    internal IHeaderDictionary ResponseHeaders { get; set; }

    internal bool IsCompleted => _isCompleted;

    internal bool IsHeadSent => _isHeadSent;

    int IHttpResponseFeature.StatusCode
    {
        get => _statusCode;
        set
        {
            ThrowIfStarted("StatusCode");
            _statusCode = value;
        }
    }

    string? IHttpResponseFeature.ReasonPhrase
    {
        get => _reasonPhrase;
        set
        {
            ThrowIfStarted("ReasonPhrase");
            ValidateReason(value);
            _reasonPhrase = value;
        }
    }

    IHeaderDictionary IHttpResponseFeature.Headers
    {
        get => ResponseHeaders;
        set => ResponseHeaders = value;
    }

    Stream IHttpResponseFeature.Body
    {
        get => _givenResponseBody ?? _responseStream;
        set => _givenResponseBody = value;
    }

    bool IHttpResponseFeature.HasStarted => HasStarted;

    private bool HasCallbacks => _onStarting?.Count > 0 || _onCompleted?.Count > 0;

    void IHttpResponseFeature.OnStarting(Func<object, Task> callback, object state)
    {
        ThrowIfStarted("OnStarting");
        (_onStarting ??= new()).Push((callback, state));
    }

    void IHttpResponseFeature.OnCompleted(Func<object, Task> callback, object state) =>
        (_onCompleted ??= new()).Push((callback, state));

    /// <summary>Runs what the application wanted to do first, counts the bytes it is about to write, and decides the
    /// head.</summary>
    internal ValueTask StartResponse(long firstBytes)
    {
        if (HasStarted)
        {
            CountWrite(firstBytes);
            return default;
        }
        if (_onStarting?.Count > 0)
        {
            return StartAfterCallbacks(firstBytes);
        }
        Commit(firstBytes);
        return default;

        async ValueTask StartAfterCallbacks(long firstBytes)
        {
            await FireOnStarting();
            Commit(firstBytes);
        }
    }

    /// <summary>Counts bytes against the length that the application has promised.</summary>
    internal void CountWrite(long count)
    {
        var total = _written + count;
        if (_responseHeaders.ContentLength is { } length && total > length && !_responseHeaders.HasTransferEncoding)
        {
            CloseUnlessStarted();
            throw new InvalidOperationException(Messages.TooMany(total, length));
        }
        _written = total;
    }

    /// <summary>Refuses a body where there is none. That to HEAD is only not sent.</summary>
    internal void ThrowIfNoBody(int count)
    {
        if (!SendsBody && count > 0 && !IsHead)
        {
            throw new InvalidOperationException(Messages.BodyNotAllowed(_statusCode));
        }
    }

    /// <summary>Called before the last bytes of a response of known length go out.</summary>
    internal void CheckLastWrite()
    {
        if (_written == _responseHeaders.ContentLength && !_responseHeaders.HasTransferEncoding)
        {
            SetComplete();
        }
    }

    /// <summary>Sends bytes of the body, with the head before the first of them.</summary>
    internal unsafe Sent Send(in ExchangeId exchange, byte* data, nuint length, SendFlags flags)
    {
        if (_isHeadSent)
        {
            return Native.Send(exchange, null, data, length, flags);
        }
        _isHeadSent = true;
        var head = Head();
        if (_reasonPhrase is null)
        {
            return Native.Send(exchange, &head, data, length, flags);
        }
        var bytes = Encoding.ASCII.GetBytes(_reasonPhrase);
        fixed (byte* reason = bytes)
        {
            head.Reason = new Slice(reason, (nuint)bytes.Length);
            return Native.Send(exchange, &head, data, length, flags);
        }
    }

    internal unsafe Sent SendFile(string path, long offset, long count)
    {
        if (_isHeadSent)
        {
            return Native.SendFile(Exchange, null, path, offset, count, SendFlags.None);
        }
        var head = Head();
        var bytes = Encoding.ASCII.GetBytes(_reasonPhrase ?? "");
        fixed (byte* reason = bytes)
        {
            head.Reason = new Slice(reason, (nuint)bytes.Length);
            var sent = Native.SendFile(Exchange, &head, path, offset, count, SendFlags.None);
            _isHeadSent = sent is Sent.Accepted or Sent.Pending;
            return sent;
        }
    }

    private unsafe ResponseHead Head() => new()
    {
        Size = (uint)sizeof(ResponseHead),
        Status = (ushort)_statusCode,
        Flags = _isOpenEnded ? HeadFlags.Open : HeadFlags.None,
        ContentLength = _responseHeaders.ContentLength ?? -1,
        Headers = _responseHeaders.Pack(),
    };

    private void ResetResponse()
    {
        _statusCode = StatusCodes.Status200OK;
        _reasonPhrase = null;
        _isHeadSent = false;
        _isOpenEnded = false;
        _isCompleted = false;
        _written = 0;
        _failure = null;
        _rejection = null;
        _givenResponseBody = null;
        HasStarted = false;
        SendsBody = true;
        IsUpgraded = false;
        _onStarting?.Clear();
        _onCompleted?.Clear();
        _responseHeaders.Reset();
        ResponseHeaders = _responseHeaders;
        _writer.Begin();
    }

    private void Commit(long firstBytes)
    {
        if (_failure is not null)
        {
            throw new ObjectDisposedException(Messages.ApplicationFailed, _failure);
        }
        CountWrite(firstBytes);
        if (HasStarted)
        {
            return;
        }
        DecideBody();
        _isOpenEnded = true;
        HasStarted = true;
        _responseHeaders.IsReadOnly = true;
        _writer.InvalidateLease();
    }

    /// <summary>Decides whether the response has a body, and refuses headers that contradict that.</summary>
    private void DecideBody()
    {
        var headers = _responseHeaders;
        if (_statusCode is < 200 or > 999 && !(IsUpgraded && _statusCode == StatusCodes.Status101SwitchingProtocols))
        {
            throw new InvalidOperationException(Messages.NoStatus(_statusCode));
        }
        var sendsBody = !IsHead && _statusCode is not (204 or 205 or 304);
        if (!sendsBody && headers.HasTransferEncoding)
        {
            throw new InvalidOperationException(Messages.HeaderNotAllowed(HeaderNames.TransferEncoding, _statusCode));
        }
        if (headers.ContentLength is { } length)
        {
            if (!MayHaveLength())
            {
                if (length != 0)
                {
                    throw new InvalidOperationException(
                        Messages.HeaderNotAllowed(HeaderNames.ContentLength, _statusCode));
                }
                headers.ContentLength = null;
            }
            else if (_statusCode == StatusCodes.Status205ResetContent && length != 0)
            {
                throw new InvalidOperationException(Messages.ContentLengthOn205);
            }
        }
        SendsBody = sendsBody;
    }

    private bool MayHaveLength() =>
        _statusCode is not (>= 100 and < 200 or 204)
        && !(_request.Method == ConnectMethod && _statusCode is >= 200 and < 300);

    /// <summary>What the response lacks of what was promised.</summary>
    private InvalidOperationException? LengthMismatch()
    {
        if (_responseHeaders.ContentLength is not { } length || _written >= length || IsHead
            || _statusCode == StatusCodes.Status304NotModified || _responseHeaders.HasTransferEncoding)
        {
            return null;
        }
        if (_written > 0)
        {
            CloseUnlessStarted();
        }
        return new InvalidOperationException(Messages.TooFew(_written, length));
    }

    /// <summary>Decides how the response ends, from what the application has done and left undone.</summary>
    private SendFlags PrepareEnd()
    {
        if (IsAborted)
        {
            if (!HasStarted)
            {
                // For the log; nobody receives it.
                _statusCode = StatusCodes.Status499ClientClosedRequest;
            }
            return SendFlags.Abort;
        }
        if (_isCompleted)
        {
            return SendFlags.None;
        }
        if (_failure is not null)
        {
            if (HasStarted)
            {
                return SendFlags.Fail;
            }
            SetErrorResponse(_rejection?.StatusCode ?? StatusCodes.Status500InternalServerError);
        }
        if (!HasStarted)
        {
            TryDecideBody();
            HasStarted = true;
            _responseHeaders.IsReadOnly = true;
        }
        _isCompleted = true;
        return SendFlags.End;
    }

    private void TryDecideBody()
    {
        try
        {
            DecideBody();
        }
        catch (InvalidOperationException e)
        {
            ReportError(e);
            SetErrorResponse(StatusCodes.Status500InternalServerError);
        }
    }

    private void SendLast(SendFlags flags)
    {
        if ((flags & SendFlags.Abort) != 0)
        {
            Native.Abort(Exchange);
            return;
        }
        SetComplete();
        _writer.SendPending(flags);
    }

    private void SetErrorResponse(int status)
    {
        _statusCode = status;
        _reasonPhrase = null;
        _responseHeaders.Reset();
        _responseHeaders.ContentLength = 0;
        _written = 0;
        SendsBody = true;
        _writer.Drop();
    }

    private void Reject(BadHttpRequestException error)
    {
        Server.Log.BadRequest(this, error);
        _rejection = error;
        CloseUnlessStarted();
        ReportError(error);
    }

    /// <summary>A response that has started says nothing of this, even where its head is not handed over yet; as it has
    /// failed, the connection ends with it.</summary>
    private void CloseUnlessStarted()
    {
        if (!HasStarted)
        {
            Native.RequestClose(Exchange);
        }
    }

    private void ReportError(Exception error)
    {
        _failure = _failure switch
        {
            null => error,
            AggregateException several => new AggregateException(several, error).Flatten(),
            _ => new AggregateException(_failure, error),
        };
        Server.Log.ApplicationError(this, error);
    }

    /// <summary>Last in, first out. One that throws ends the request before it has started.</summary>
    private async Task FireOnStarting()
    {
        try
        {
            while (_onStarting!.TryPop(out var entry))
            {
                await entry.Callback(entry.State);
            }
        }
        catch (Exception e)
        {
            ReportError(e);
        }
    }

    /// <summary>Last in, first out; one that throws does not keep the others from running.</summary>
    private async Task FireOnCompleted()
    {
        while (_onCompleted!.TryPop(out var entry))
        {
            try
            {
                await entry.Callback(entry.State);
            }
            catch (Exception e)
            {
                Server.Log.ApplicationError(this, e);
            }
        }
    }

    /// <summary>Refuses what could end the line. What is not ASCII is sent as a question mark.</summary>
    private static void ValidateReason(string? reason)
    {
        foreach (var character in reason.AsSpan())
        {
            if (character is < ' ' and not '\t' or '\x7f')
            {
                throw new InvalidOperationException(Messages.InvalidReason(character));
            }
        }
    }

    private void ThrowIfStarted(string name)
    {
        if (HasStarted)
        {
            throw new InvalidOperationException(Messages.ReadOnly(name));
        }
    }
}

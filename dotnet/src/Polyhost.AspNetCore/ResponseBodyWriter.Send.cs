using System.IO.Pipelines;

namespace Polyhost.AspNetCore;

// Handing over to the host.
internal sealed unsafe partial class ResponseBodyWriter
{
    /// <summary>Hands over what there is, and the head before it.</summary>
    internal void SendPending(SendFlags flags)
    {
        lock (_gate)
        {
            HandOver(context.Exchange, flags);
        }
    }

    /// <summary>Hands over what was put off. Another thread may be writing already.</summary>
    internal void SendDeferred()
    {
        lock (_gate)
        {
            if (!_isDeferred)
            {
                return;
            }
            _isDeferred = false;
            var length = context.SendsBody ? _deferredLength - _ownSent : 0;
            var sent = _ownSent;
            _ownSent = _deferredLength;
            context.Send(context.Exchange, _ownData + sent, (nuint)length, SendFlags.None);
        }
    }

    /// <summary>The last call of a request, after which nothing here may be touched.</summary>
    internal void Release(in ExchangeId exchange, SendFlags last)
    {
        if ((last & (SendFlags.End | SendFlags.Fail)) == 0 || (last & SendFlags.Abort) != 0)
        {
            Drop();
            AbandonWait();
            Native.Send(exchange, null, null, 0, last | SendFlags.Release);
            return;
        }
        AbandonWait();
        lock (_gate)
        {
            try
            {
                HandOver(exchange, last | SendFlags.Release);
            }
            catch (Exception)
            {
                // Out of memory. Released it must be; if it was already, the host takes no notice.
                Native.Send(exchange, null, null, 0, SendFlags.Abort | SendFlags.Release);
            }
        }
    }

    /// <summary>Forgets what was not handed over.</summary>
    internal void Drop()
    {
        lock (_gate)
        {
            DropBuffers();
        }
    }

    /// <summary>The host has room again, or the client has gone.</summary>
    internal void Wake() => TakeWait()?.Queue();

    void IWaitOwner<FlushResult>.Resume(Wait<FlushResult> wait) => wait.SetResult(Result(context.IsAborted));

    void IWaitOwner<FlushResult>.Cancel(Wait<FlushResult> wait, CancellationToken token)
    {
        if (TakeWait(wait) is not null)
        {
            wait.SetCanceled(token);
        }
    }

    /// <summary>Sends part of a file after what there is.</summary>
    internal ValueTask<FlushResult> SendFileAsync(string path, long offset, long count, CancellationToken token)
    {
        ValueTask<FlushResult> result;
        Wait<FlushResult>? wait;
        lock (_gate)
        {
            ThrowIfStopped();
            if (UnsentBytes > 0)
            {
                HandOver(context.Exchange, SendFlags.None);
            }
            _isDeferred = false;
            result = Answer(context.SendFile(path, offset, count), out wait);
        }
        wait?.Watch(token);
        return result;
    }

    /// <summary>Bytes of an upgraded connection, which nobody counts.</summary>
    internal ValueTask<FlushResult> WriteUpgraded(ReadOnlySpan<byte> source, CancellationToken token) =>
        SendDirectly(source, token);

    private ValueTask<FlushResult> FlushStarted(CancellationToken token)
    {
        if (context.IsAborted)
        {
            Drop();
            return Done(isCompleted: true);
        }
        context.CheckLastWrite();
        if (_blocks.Count == 0 && context.IsOnHostThread)
        {
            _isDeferred = true;
            _deferredLength = _ownLength;
            return Done(isCompleted: false);
        }
        ValueTask<FlushResult> result;
        Wait<FlushResult>? wait;
        lock (_gate)
        {
            ThrowIfStopped();
            result = Answer(HandOver(context.Exchange, SendFlags.None), out wait);
        }
        wait?.Watch(token);
        return result;
    }

    private ValueTask<FlushResult> WriteStarted(ReadOnlySpan<byte> source, CancellationToken token)
    {
        context.ThrowIfNoBody(source.Length);
        if (context.IsAborted || !context.SendsBody || source.IsEmpty)
        {
            return FlushStarted(token);
        }
        if (_blocks.Count == 0 && source.Length <= OwnSize - _ownLength)
        {
            _ = _own ?? Allocate();
            source.CopyTo(_own.AsSpan(_ownLength));
            _ownLength += source.Length;
            return FlushStarted(token);
        }
        context.CheckLastWrite();
        return SendDirectly(source, token);
    }

    private ValueTask<FlushResult> SendDirectly(ReadOnlySpan<byte> source, CancellationToken token)
    {
        ValueTask<FlushResult> result;
        Wait<FlushResult>? wait;
        lock (_gate)
        {
            ThrowIfStopped();
            if (UnsentBytes > 0)
            {
                HandOver(context.Exchange, SendFlags.None);
            }
            _isDeferred = false;
            fixed (byte* data = source)
            {
                result = Answer(context.Send(context.Exchange, data, (nuint)source.Length, SendFlags.None), out wait);
            }
        }
        wait?.Watch(token);
        return result;
    }

    /// <summary>Hands over everything, the flags with the last part. All fields are as for an empty buffer before that
    /// part goes, for with it the request may be over.</summary>
    private Sent HandOver(in ExchangeId exchange, SendFlags flags)
    {
        var data = _ownData + _ownSent;
        var length = _ownLength - _ownSent;
        if (!context.SendsBody)
        {
            DropBuffers();
            length = 0;
        }
        _ownLength = 0;
        _ownSent = 0;
        _isDeferred = false;
        if (_blocks.Count == 0)
        {
            return length > 0 || flags != SendFlags.None || !context.IsHeadSent
                ? context.Send(exchange, data, (nuint)length, flags)
                : Sent.Accepted;
        }
        if (length > 0)
        {
            context.Send(exchange, data, (nuint)length, SendFlags.None);
        }
        for (var i = 0; i < _blocks.Count - 1; i++)
        {
            var full = _blocks[i];
            context.Send(exchange, full.Detach(), (nuint)full.Length, SendFlags.Owned);
            Keep(full);
        }
        var last = _blocks[^1];
        _blocks.Clear();
        var lastData = last.Detach();
        var lastLength = last.Length;
        Keep(last);
        return context.Send(exchange, lastData, (nuint)lastLength, flags | SendFlags.Owned);
    }

    private void DropBuffers()
    {
        _ownLength = 0;
        _ownSent = 0;
        _isDeferred = false;
        foreach (var block in _blocks)
        {
            block.Free();
            Keep(block);
        }
        _blocks.Clear();
    }

    private void Keep(NativeBlock block)
    {
        if (_spare.Count < Spares)
        {
            _spare.Push(block);
        }
    }

    /// <summary>What a flush comes to, by the host's answer. The gate is held; the token is to be watched when it is
    /// not.</summary>
    private ValueTask<FlushResult> Answer(Sent sent, out Wait<FlushResult>? wait)
    {
        wait = null;
        switch (sent)
        {
            case Sent.Accepted:
                return Done(isCompleted: false);
            case Sent.Pending:
                if (_isWaiting || _isFlushCanceled)
                {
                    // Somebody waits already, or nobody is to; the bytes are with the host.
                    return Done(isCompleted: false);
                }
                if (_wait is null or { IsFree: false })
                {
                    _wait = new Wait<FlushResult>(this);
                }
                _isWaiting = true;
                if (context.IsInHostCall)
                {
                    WatchForStall();
                }
                wait = _wait;
                return wait.Begin();
            case Sent.NoSuchFile:
                throw new FileNotFoundException("the file is not there any more");
            case Sent.OutOfRange:
                throw new IOException("the file is shorter than it was");
            default:
                // It may have gone before the host could say so.
                context.OnAborted(context.Generation);
                return Done(isCompleted: true);
        }
    }

    /// <summary>Room is made by the thread that the application runs on. It mostly awaits, which gives that thread back;
    /// where it blocks, both would wait for ever.</summary>
    private void WatchForStall()
    {
        if (_stall is null && !ExecutionContext.IsFlowSuppressed())
        {
            // A timer keeps the context it is made in, which is a request's.
            using (ExecutionContext.SuppressFlow())
            {
                _stall = NewStallTimer();
            }
        }
        _stall ??= NewStallTimer();
        _stall.Change(s_stallTime, Timeout.InfiniteTimeSpan);
    }

    private Timer NewStallTimer() =>
        new(static writer => ((ResponseBodyWriter)writer!).EndStall(), this, Timeout.Infinite, Timeout.Infinite);

    private void EndStall()
    {
        if (context.IsInHostCall)
        {
            TakeWait()?.SetException(new InvalidOperationException(Messages.BlockingWrite));
        }
    }

    private Wait<FlushResult>? TakeWait(Wait<FlushResult>? expected = null)
    {
        lock (_gate)
        {
            if (!_isWaiting || (expected is not null && !ReferenceEquals(expected, _wait)))
            {
                return null;
            }
            _isWaiting = false;
            return _wait;
        }
    }

    /// <summary>A flush that nobody has awaited is over with its request.</summary>
    private void AbandonWait()
    {
        if (_wait is { IsFree: false })
        {
            TakeWait()?.Queue();
            _wait = null;
        }
    }

    private ValueTask<FlushResult> Done(bool isCompleted) => new(Result(isCompleted));

    private FlushResult Result(bool isCompleted)
    {
        var isCanceled = _isFlushCanceled;
        _isFlushCanceled = false;
        return new FlushResult(isCanceled, isCompleted);
    }
}

using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;

namespace Polyhost.AspNetCore;

/// <summary>The body of a request: the chunks that the host has received, as they are, freed once they are
/// consumed.</summary>
internal sealed class RequestBodyReader(RequestContext context) : PipeReader, IWaitOwner<ReadResult>
{
    private const int Spares = 8;

    /// <summary>Held while the host is asked, so that a wait is there before the host may end it.</summary>
    private readonly object _gate = new();
    private readonly Stack<BodySegment> _spare = new();

    private BodySegment? _first;
    private BodySegment? _last;
    private int _consumed;

    /// <summary>Whether the application has seen all that is here, and wants more.</summary>
    private bool _isExamined;
    private bool _isEmpty;
    private bool _isReading;
    private bool _isCanceled;
    private bool _isStopped;
    private bool _isCompleted;
    private Exception? _failure;

    private Wait<ReadResult>? _wait;
    private bool _isWaiting;

    /// <summary>Whether the application has asked for the body.</summary>
    internal bool HasStarted { get; private set; }

    /// <summary>Whether all of it was received.</summary>
    internal bool HasEnded { get; private set; }

    internal void Begin(bool hasBody)
    {
        HasStarted = false;
        HasEnded = !hasBody;
        _isEmpty = !hasBody;
        _consumed = 0;
        _isExamined = true;
        _isReading = false;
        _isCanceled = false;
        _isStopped = false;
        _isCompleted = false;
        _failure = null;
    }

    /// <summary>The application has returned: it reads no more.</summary>
    internal void Stop() => _isStopped = true;

    /// <summary>Gives back what was not consumed.</summary>
    internal void Reset()
    {
        // Somebody may still read, who does not know that the request is over.
        lock (_gate)
        {
            if (_wait is { IsFree: false })
            {
                // A read that nobody has awaited is over with its request.
                if (TakeWait() is { } wait)
                {
                    ThreadPool.UnsafeQueueUserWorkItem(
                        static wait => wait.SetException(Ended()), wait, preferLocal: false);
                }
                _wait = null;
            }
            while (_first is { } segment)
            {
                _first = segment.Next;
                Free(segment);
            }
            _last = null;
        }
    }

    /// <summary>The host has more, or the client has gone.</summary>
    internal void Wake()
    {
        Wait<ReadResult>? wait;
        lock (_gate)
        {
            wait = _isWaiting ? _wait : null;
        }
        // It is asked again on the pool, and may well wait on.
        wait?.Queue();
    }

    public override bool TryRead(out ReadResult result)
    {
        lock (_gate)
        {
            StartReading();
            return TryReadNow(out result);
        }
    }

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        ValueTask<ReadResult> pending;
        Wait<ReadResult> wait;
        // Held while the host is asked: from then on it may say that there is more.
        lock (_gate)
        {
            StartReading();
            if (cancellationToken.IsCancellationRequested)
            {
                return ValueTask.FromCanceled<ReadResult>(cancellationToken);
            }
            try
            {
                if (TryReadNow(out var result))
                {
                    return new ValueTask<ReadResult>(result);
                }
            }
            catch (Exception e)
            {
                return ValueTask.FromException<ReadResult>(e);
            }
            wait = _wait is { IsFree: true } ? _wait : _wait = new Wait<ReadResult>(this);
            _isWaiting = true;
            pending = wait.Begin();
        }
        wait.Watch(cancellationToken);
        return pending;
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        lock (_gate)
        {
            // Else what there was is given back already, or about to be.
            if (!_isStopped)
            {
                Advance(consumed, examined);
            }
        }
    }

    /// <summary>Copies what a read has brought, and advances past it. Here, as the request may end meanwhile, and its
    /// bytes with it.</summary>
    internal int Take(in ReadResult result, Span<byte> buffer)
    {
        lock (_gate)
        {
            if (_isStopped)
            {
                throw Ended();
            }
            var available = result.Buffer;
            var count = result.IsCanceled ? 0 : (int)Math.Min(available.Length, buffer.Length);
            if (count == 0)
            {
                Advance(available.Start, available.Start);
                return 0;
            }
            var taken = available.Slice(0, count);
            taken.CopyTo(buffer);
            Advance(taken.End, taken.End);
            return count;
        }
    }

    private void Advance(SequencePosition consumed, SequencePosition examined)
    {
        if (!_isReading)
        {
            throw new InvalidOperationException(Messages.NoReading);
        }
        if (_first is null)
        {
            _isReading = false;
            return;
        }
        var to = consumed.GetObject();
        var found = _first;
        while (found is not null && !ReferenceEquals(found, to))
        {
            found = found.Next;
        }
        var least = ReferenceEquals(found, _first) ? _consumed : 0;
        if (found is null || consumed.GetInteger() < least || consumed.GetInteger() > found.Length)
        {
            throw new ArgumentOutOfRangeException(nameof(consumed));
        }
        _isReading = false;
        var last = _last!;
        _isExamined = ReferenceEquals(examined.GetObject(), last) && examined.GetInteger() == last.Length;
        while (!ReferenceEquals(_first, found))
        {
            var segment = _first;
            _first = segment.Next!;
            Free(segment);
        }
        _consumed = consumed.GetInteger();
        if (ReferenceEquals(found, last) && _consumed == found.Length)
        {
            _first = null;
            _last = null;
            _consumed = 0;
            _isExamined = true;
            Free(found);
        }
    }

    /// <summary>Without a body nothing is ever waited for, so there is nothing to cancel.</summary>
    public override void CancelPendingRead()
    {
        if (_isEmpty)
        {
            return;
        }
        lock (_gate)
        {
            _isCanceled = true;
        }
        Wake();
    }

    public override void Complete(Exception? exception = null)
    {
        lock (_gate)
        {
            _isCompleted = true;
            if (_isReading && _last is { } last)
            {
                AdvanceTo(new SequencePosition(last, last.Length));
            }
        }
    }

    void IWaitOwner<ReadResult>.Resume(Wait<ReadResult> wait)
    {
        ReadResult result = default;
        Exception? failure = null;
        lock (_gate)
        {
            // Of a request that is about to be over nobody reads any more; it ends the wait.
            if (_isStopped || !_isWaiting || !ReferenceEquals(wait, _wait))
            {
                return;
            }
            try
            {
                if (!TryReadNow(out result))
                {
                    return;
                }
            }
            catch (Exception e)
            {
                failure = e;
            }
            _isWaiting = false;
        }
        if (failure is null)
        {
            wait.SetResult(result);
        }
        else
        {
            wait.SetException(failure);
        }
    }

    void IWaitOwner<ReadResult>.Cancel(Wait<ReadResult> wait, CancellationToken token)
    {
        if (TakeWait(wait) is not null)
        {
            wait.SetCanceled(token);
        }
    }

    /// <summary>The gate is held.</summary>
    private void StartReading()
    {
        if (_isStopped)
        {
            throw Ended();
        }
        if (_isCompleted)
        {
            throw new InvalidOperationException(Messages.ReadingAfterCompletion);
        }
        if (_isReading || _isWaiting)
        {
            throw new InvalidOperationException(Messages.ReadingInProgress);
        }
        HasStarted = true;
    }

    /// <summary>Reads without waiting. The gate is held.</summary>
    private bool TryReadNow(out ReadResult result)
    {
        if (_isCanceled)
        {
            _isCanceled = false;
            _isReading = true;
            result = new ReadResult(Buffer(), isCanceled: true, isCompleted: HasEnded);
            return true;
        }
        if (_isExamined && !HasEnded)
        {
            if (_failure is not null)
            {
                throw _failure;
            }
            if (context.IsAborted)
            {
                throw _failure = Failure(BodyRead.Aborted);
            }
            switch (Native.Read(context.Exchange, out var chunk))
            {
                case BodyRead.Data:
                    Append(chunk);
                    break;
                case BodyRead.Pending:
                    result = default;
                    return false;
                case BodyRead.End:
                    HasEnded = true;
                    break;
                case var failed:
                    if (failed == BodyRead.Aborted)
                    {
                        context.OnAborted(context.Generation);
                    }
                    throw _failure = Failure(failed);
            }
        }
        _isReading = true;
        result = new ReadResult(Buffer(), isCanceled: false, isCompleted: HasEnded);
        return true;
    }

    private void Append(in Chunk chunk)
    {
        var segment = _spare.TryPop(out var spare) ? spare : new BodySegment();
        segment.Take(chunk, _last);
        _first ??= segment;
        _last = segment;
        _isExamined = false;
    }

    private ReadOnlySequence<byte> Buffer() =>
        _first is null ? default : new ReadOnlySequence<byte>(_first, _consumed, _last!, _last!.Length);

    private void Free(BodySegment segment)
    {
        segment.Free();
        if (_spare.Count < Spares)
        {
            _spare.Push(segment);
        }
    }

    private Wait<ReadResult>? TakeWait(Wait<ReadResult>? expected = null)
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

    private Exception Failure(BodyRead failed) => failed switch
    {
        BodyRead.TooLarge => new BadHttpRequestException(
            Messages.BodyTooLarge(context.MaxRequestBodySize), StatusCodes.Status413PayloadTooLarge),
        BodyRead.Malformed => new BadHttpRequestException(Messages.BodyMalformed),
        BodyRead.TrailersTooLarge => new BadHttpRequestException(
            Messages.TrailersTooLarge, StatusCodes.Status431RequestHeaderFieldsTooLarge),
        BodyRead.TimedOut => new BadHttpRequestException(Messages.BodyTimedOut, StatusCodes.Status408RequestTimeout),
        BodyRead.Aborted => new ConnectionResetException(Messages.ClientGone),
        _ => Ended(),
    };

    private static ObjectDisposedException Ended() => new(nameof(RequestBodyReader), Messages.RequestEnded);
}

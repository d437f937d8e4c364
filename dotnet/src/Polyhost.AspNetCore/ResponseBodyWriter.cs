using System.IO.Pipelines;
using System.Runtime.CompilerServices;

namespace Polyhost.AspNetCore;

/// <summary>
/// The body of a response. Bytes are written to a buffer of this object's own, and once it is full to blocks of the host,
/// which takes them without another copy. A flush hands over what there is.
/// </summary>
/// <remarks>On the thread of the host a flush is put off until the application gives that thread back: the host sends
/// nothing before, and mostly gets the whole response in one call.</remarks>
internal sealed partial class ResponseBodyWriter(RequestContext context, byte[]? own)
    : PipeWriter, IWaitOwner<FlushResult>
{
    private const int OwnSize = 4096;
    private const int SmallBlock = 16 * 1024;
    private const int LargeBlock = 64 * 1024;
    private const int Spares = 8;

    /// <summary>Held while bytes are handed over, so that a wait is there before the host may end it.</summary>
    private readonly object _gate = new();
    private readonly List<NativeBlock> _blocks = [];
    private readonly Stack<NativeBlock> _spare = new();

    /// <summary>Pinned, and kept for all requests.</summary>
    private byte[]? _own = own;
    private unsafe byte* _ownData = AddressOf(own);
    private int _ownLength;
    private int _ownSent;

    /// <summary>How much of the own buffer a flush was put off for.</summary>
    private int _deferredLength;
    private bool _isDeferred;

    /// <summary>How long application code may block the thread that makes room for what it writes.</summary>
    private static readonly TimeSpan s_stallTime = TimeSpan.FromSeconds(1);

    private Wait<FlushResult>? _wait;
    private bool _isWaiting;
    private Timer? _stall;

    /// <summary>The flush that waits, or else the next one, is to say that it was canceled.</summary>
    private bool _isFlushCanceled;
    private bool _hasLease;
    private bool _isStopped;
    private bool _isCompleted;

    /// <summary>What <see cref="Complete"/> has begun.</summary>
    internal Task Completion { get; private set; } = Task.CompletedTask;

    internal byte[]? Own => _own;

    public override bool CanGetUnflushedBytes => true;

    /// <summary>A flush that was put off is one to the application.</summary>
    public override long UnflushedBytes => UnsentBytes - (_isDeferred ? _deferredLength - _ownSent : 0);

    private long UnsentBytes
    {
        get
        {
            long bytes = _ownLength - _ownSent;
            foreach (var block in _blocks)
            {
                bytes += block.Length;
            }
            return bytes;
        }
    }

    internal void Begin()
    {
        if (UnsentBytes > 0)
        {
            // Of somebody who did not know that the last request was over.
            Drop();
        }
        _hasLease = false;
        _isStopped = false;
        _isCompleted = false;
        _isFlushCanceled = false;
        Completion = Task.CompletedTask;
    }

    /// <summary>The application has returned: it writes no more. Who does it nevertheless is refused at the gate from the
    /// last call to the host on.</summary>
    internal void Stop() => _isStopped = true;

    /// <summary>What was got before the response started must not be advanced in.</summary>
    internal void InvalidateLease() => _hasLease = false;

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        var size = Lease(sizeHint);
        if (_blocks.Count == 0)
        {
            var own = _own ?? Allocate();
            if (OwnSize - _ownLength >= size)
            {
                return own.AsMemory(_ownLength);
            }
        }
        var block = Current(size);
        return block.Memory[block.Length..];
    }

    public override Span<byte> GetSpan(int sizeHint = 0)
    {
        var size = Lease(sizeHint);
        if (_blocks.Count == 0)
        {
            var own = _own ?? Allocate();
            if (OwnSize - _ownLength >= size)
            {
                return own.AsSpan(_ownLength);
            }
        }
        var block = Current(size);
        return block.GetSpan()[block.Length..];
    }

    public override void Advance(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        if (!_hasLease)
        {
            throw new InvalidOperationException(Messages.AdvanceOrder);
        }
        var block = _blocks.Count > 0 ? _blocks[^1] : null;
        var room = block is null ? OwnSize - _ownLength : block.Capacity - block.Length;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, room);
        context.CountWrite(bytes);
        context.ThrowIfNoBody(bytes);
        if (context.IsAborted || !context.SendsBody)
        {
            return;
        }
        if (block is null)
        {
            _ownLength += bytes;
        }
        else
        {
            block.Length += bytes;
        }
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        ThrowIfUnusable();
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<FlushResult>(cancellationToken);
        }
        var start = context.StartResponse(0);
        return start.IsCompletedSuccessfully
            ? FlushStarted(cancellationToken)
            : FlushAfter(start, cancellationToken);

        async ValueTask<FlushResult> FlushAfter(ValueTask start, CancellationToken cancellationToken)
        {
            await start;
            return await FlushStarted(cancellationToken);
        }
    }

    public override ValueTask<FlushResult> WriteAsync(
        ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
    {
        ThrowIfUnusable();
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<FlushResult>(cancellationToken);
        }
        var start = context.StartResponse(source.Length);
        return start.IsCompletedSuccessfully
            ? WriteStarted(source.Span, cancellationToken)
            : WriteAfter(start, source, cancellationToken);

        async ValueTask<FlushResult> WriteAfter(
            ValueTask start, ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
        {
            await start;
            return await WriteStarted(source.Span, cancellationToken);
        }
    }

    public override void CancelPendingFlush()
    {
        _isFlushCanceled = true;
        Wake();
    }

    public override void Complete(Exception? exception = null)
    {
        if (!_isCompleted && !_isStopped)
        {
            _isCompleted = true;
            Completion = context.CompleteResponse(exception);
            if (Completion.IsCompleted)
            {
                Completion.GetAwaiter().GetResult();
            }
        }
    }

    public override ValueTask CompleteAsync(Exception? exception = null)
    {
        Complete(exception);
        return new ValueTask(Completion);
    }

    private int Lease(int sizeHint)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(sizeHint);
        ThrowIfUnusable();
        _hasLease = true;
        return Math.Max(sizeHint, 1);
    }

    private unsafe byte[] Allocate()
    {
        _own = GC.AllocateUninitializedArray<byte>(OwnSize, pinned: true);
        _ownData = AddressOf(_own);
        return _own;
    }

    private static unsafe byte* AddressOf(byte[]? pinned) =>
        pinned is null ? null : (byte*)Unsafe.AsPointer(ref pinned[0]);

    /// <summary>The block to write to, with room for some bytes.</summary>
    private NativeBlock Current(int size)
    {
        var previous = _blocks.Count > 0 ? _blocks[^1] : null;
        if (previous is not null && previous.Capacity - previous.Length >= size)
        {
            return previous;
        }
        if (previous is { Length: 0 })
        {
            previous.Free();
            previous.Allocate(size);
            return previous;
        }
        var block = _spare.TryPop(out var spare) ? spare : new NativeBlock();
        block.Allocate(Math.Max(size, previous is null ? SmallBlock : LargeBlock));
        _blocks.Add(block);
        return block;
    }

    private void ThrowIfStopped()
    {
        if (_isStopped)
        {
            throw new ObjectDisposedException(nameof(ResponseBodyWriter), Messages.ResponseCompleted);
        }
    }

    private void ThrowIfUnusable()
    {
        ThrowIfStopped();
        if (context.IsCompleted || _isCompleted)
        {
            throw new InvalidOperationException(Messages.WritingAfterCompletion);
        }
        if (context.IsUpgraded)
        {
            throw new InvalidOperationException(Messages.Upgraded);
        }
    }
}

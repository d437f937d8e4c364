using System.Threading.Tasks.Sources;

namespace Polyhost.AspNetCore;

/// <summary>What a <see cref="Wait{T}"/> waits in.</summary>
internal interface IWaitOwner<T>
{
    /// <summary>Called on the pool, after the wait was queued.</summary>
    void Resume(Wait<T> wait);

    /// <summary>Called when the caller's token is canceled.</summary>
    void Cancel(Wait<T> wait, CancellationToken token);
}

/// <summary>One caller waiting for the host; used again when the caller has taken the result.</summary>
/// <remarks>The host's calls come on threads that must not run the application's code, so a wait is resumed by the
/// pool, as a work item itself.</remarks>
internal sealed class Wait<T>(IWaitOwner<T> owner) : IValueTaskSource<T>, IThreadPoolWorkItem
{
    private ManualResetValueTaskSourceCore<T> _core;
    private CancellationTokenRegistration _registration;
    private volatile bool _isTaken = true;

    /// <summary>Whether nobody holds on to it.</summary>
    internal bool IsFree => _isTaken;

    /// <summary>Begins; the result is to be set exactly once.</summary>
    internal ValueTask<T> Begin()
    {
        _isTaken = false;
        _core.RunContinuationsAsynchronously = false;
        return new ValueTask<T>(this, _core.Version);
    }

    /// <summary>To be called without a lock held: a canceled token calls back at once.</summary>
    internal void Watch(CancellationToken token)
    {
        if (token.CanBeCanceled)
        {
            _registration = token.UnsafeRegister(
                static (wait, token) => ((Wait<T>)wait!).OnCanceled(token), this);
        }
    }

    internal void Queue() => ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);

    internal void SetResult(T result) => _core.SetResult(result);

    internal void SetException(Exception exception) => _core.SetException(exception);

    /// <summary>Whoever cancels is in the middle of something: the waiting code goes on elsewhere.</summary>
    internal void SetCanceled(CancellationToken token)
    {
        _core.RunContinuationsAsynchronously = true;
        _core.SetException(new OperationCanceledException(token));
    }

    void IThreadPoolWorkItem.Execute() => owner.Resume(this);

    T IValueTaskSource<T>.GetResult(short token)
    {
        if (_core.GetStatus(token) == ValueTaskSourceStatus.Pending)
        {
            // Else it would be begun anew while somebody is about to set its result.
            throw new InvalidOperationException("the operation has not completed; await it");
        }
        try
        {
            return _core.GetResult(token);
        }
        finally
        {
            // Not with the result, which may be there before Watch has returned. A token that is canceled from here on
            // does not reach the next wait.
            _registration.Dispose();
            _registration = default;
            _core.Reset();
            _isTaken = true;
        }
    }

    ValueTaskSourceStatus IValueTaskSource<T>.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource<T>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);

    private void OnCanceled(CancellationToken token) => owner.Cancel(this, token);
}

using System.Collections.Concurrent;
using System.Diagnostics;

namespace Polyhost;

/// <summary>
/// What is known about a call besides its request, and what a guest can ask its host for meanwhile.
/// </summary>
/// <remarks>An export takes it as its last parameter; deeper down it is <see cref="Current"/>. Any thread may use it
/// until the call ends; from then on all but <see cref="CancellationToken"/> throws
/// <see cref="ObjectDisposedException"/>. A call waits at its end for other threads that are inside a method
/// of its context.</remarks>
public sealed unsafe partial class CallContext
{
    /// <summary>Added to <see cref="_uses"/> when the call is over.</summary>
    private const int Over = int.MinValue;

    /// <summary>The sources of all calls that the host has been asked to watch, by its id for them.</summary>
    private static readonly ConcurrentDictionary<ulong, CancellationTokenSource> s_watched = new();

    private readonly PolyhostCall* _call;

    /// <summary>Threads that use <see cref="_call"/> at the moment; negative when nobody may any more.</summary>
    private int _uses;
    private ulong _watch;
    private CancellationTokenSource? _cancellation;
    private KeyValuePair<string, string>[]? _metadata;

    internal CallContext(PolyhostCall* call, GuestModule module)
    {
        _call = call;
        Module = module;
    }

    /// <summary>The context of the call that this thread is in; of an async export also in the tasks that it awaits or
    /// starts, on any thread.</summary>
    /// <remarks>Null outside of calls, so also in a task that an export which is not async starts: hand it the context.
    /// Null within an export that takes a span and no <see cref="CallContext"/>, too: that form does nothing but the
    /// call.</remarks>
    public static CallContext? Current => CallScope.Current;

    internal GuestModule Module { get; }

    /// <summary>Whether the call has been cancelled or is out of time. Costs next to nothing.</summary>
    public bool IsCancelled
    {
        get
        {
            var call = Enter();
            var status = Host.Table->Cancelled(call);
            Leave();
            return status != 0;
        }
    }

    /// <summary>Cancelled when the call is cancelled or runs out of time. Still good when the call has ended, but
    /// first asked for before that.</summary>
    public CancellationToken CancellationToken => (Volatile.Read(ref _cancellation) ?? Watch())?.Token ?? default;

    /// <summary>The time left, 0 when it is up; <see langword="null"/> without a deadline.</summary>
    public TimeSpan? Remaining
    {
        get
        {
            var call = Enter();
            var nanoseconds = Host.Table->Remaining(call);
            Leave();
            return nanoseconds == long.MaxValue ? null : new TimeSpan(nanoseconds / TimeSpan.NanosecondsPerTick);
        }
    }

    /// <summary>When the time is up; <see langword="null"/> without a deadline.</summary>
    public DateTimeOffset? Deadline => Remaining is { } remaining ? DateTimeOffset.UtcNow + remaining : null;

    /// <summary>What the caller sent along, in its order. A key may occur more than once.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Metadata => Volatile.Read(ref _metadata) ?? ReadMetadata();

    /// <summary>The trace that the call belongs to, by the W3C's <c>traceparent</c> and <c>tracestate</c>;
    /// <see langword="default"/> where there is none. For <see cref="ActivitySource"/>: the host makes no
    /// <see cref="Activity"/> of its own.</summary>
    public ActivityContext TraceContext =>
        ActivityContext.TryParse(GetMetadata("traceparent"), GetMetadata("tracestate"), isRemote: true, out var trace)
            ? trace
            : default;

    /// <summary>Throws if the call has been cancelled or is out of time.</summary>
    /// <exception cref="OperationCanceledException">It is to stop.</exception>
    public void ThrowIfCancelled()
    {
        if (IsCancelled)
        {
            throw new OperationCanceledException();
        }
    }

    /// <summary>The first value that the caller sent along for <paramref name="key"/>, if any.</summary>
    public string? GetMetadata(string key)
    {
        foreach (var (name, value) in Metadata)
        {
            if (name == key)
            {
                return value;
            }
        }
        return null;
    }

    /// <summary>The host says that a watched call is to stop, on whatever thread it found out.</summary>
    internal static void Cancel(ulong watch)
    {
        if (s_watched.TryGetValue(watch, out var source))
        {
            // The token says so at once; what guests have registered on it runs elsewhere, because it may take long.
            _ = source.CancelAsync();
        }
    }

    /// <summary>Nobody uses the native call from here on; waits for those who do.</summary>
    internal void End()
    {
        if (Interlocked.Add(ref _uses, Over) != Over)
        {
            lock (Module)
            {
                while (Volatile.Read(ref _uses) != Over)
                {
                    Monitor.Wait(Module);
                }
            }
        }
        if (_watch != 0)
        {
            s_watched.TryRemove(_watch, out _);
        }
    }

    /// <summary>The native call, good until <see cref="Leave"/>.</summary>
    private PolyhostCall* Enter()
    {
        var call = TryEnter();
        return call is not null
            ? call
            : throw new ObjectDisposedException(null, "the call has ended; a CallContext is good only until then");
    }

    /// <summary>The same; <see langword="null"/> when the call has ended, and there is nothing to leave.</summary>
    internal PolyhostCall* TryEnter()
    {
        if (Interlocked.Increment(ref _uses) > 0)
        {
            return _call;
        }
        Leave();
        return null;
    }

    internal void Leave()
    {
        if (Interlocked.Decrement(ref _uses) == Over)
        {
            lock (Module)
            {
                Monitor.PulseAll(Module);
            }
        }
    }

    private CancellationTokenSource? Watch()
    {
        var call = Enter();
        try
        {
            // Asked twice, the host gives the same id.
            var watch = Host.Table->Watch(call);
            if (watch == 0)
            {
                return null;
            }
            var source = new CancellationTokenSource();
            if (Interlocked.CompareExchange(ref _cancellation, source, null) is { } first)
            {
                return first;
            }
            s_watched[watch] = source;
            _watch = watch;
            // It may have been cancelled before its source could be found.
            if (Host.Table->Cancelled(call) != 0)
            {
                _ = source.CancelAsync();
            }
            return source;
        }
        finally
        {
            Leave();
        }
    }

    private KeyValuePair<string, string>[] ReadMetadata()
    {
        var call = Enter();
        try
        {
            var list = new List<KeyValuePair<string, string>>();
            PolyhostSlice key, value;
            while (Host.Table->Metadata(call, (nuint)list.Count, &key, &value) == 0)
            {
                list.Add(new(key.ToString(), value.ToString()));
            }
            var metadata = list.ToArray();
            Volatile.Write(ref _metadata, metadata);
            return metadata;
        }
        finally
        {
            Leave();
        }
    }
}

using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;

namespace Polyhost.AspNetCore;

internal abstract partial class RequestContext
    : IHttpRequestLifetimeFeature, IConnectionLifetimeFeature, IConnectionLifetimeNotificationFeature
{
    private const long AbortedBit = 1;

    /// <summary>All was sent: a client that goes away now has what it wanted.</summary>
    private const long CompleteBit = 2;
    private const int LifeBits = 2;

    private readonly object _abortLock = new();

    /// <summary>The host's number of the request in the high half, 0 between requests. In the low half its number on this
    /// context, for the host's may be that of an earlier one in another slot; and two bits for what became of it.</summary>
    private long _life;
    private CancellationTokenSource? _aborted;
    private CancellationToken? _givenToken;
    private CancellationTokenSource? _connectionClosed;
    private CancellationToken? _givenConnectionToken;
    private CancellationToken? _givenClosingToken;

    /// <summary>The number of the request that is in here; 0 for none.</summary>
    internal uint Generation => (uint)(Volatile.Read(ref _life) >> 32);

    /// <summary>What no other request on this context has; 0 for none.</summary>
    private long Identity
    {
        get
        {
            var life = Volatile.Read(ref _life);
            return life >> 32 == 0 ? 0 : life >>> LifeBits;
        }
    }

    internal bool IsAborted => (Volatile.Read(ref _life) & AbortedBit) != 0;

    CancellationToken IHttpRequestLifetimeFeature.RequestAborted
    {
        get => _givenToken ?? AbortToken();
        set => _givenToken = value;
    }

    CancellationToken IConnectionLifetimeFeature.ConnectionClosed
    {
        get => _givenConnectionToken ?? ConnectionToken();
        set => _givenConnectionToken = value;
    }

    CancellationToken IConnectionLifetimeNotificationFeature.ConnectionClosedRequested
    {
        get => _givenClosingToken ?? Server.Stopping;
        set => _givenClosingToken = value;
    }

    void IConnectionLifetimeNotificationFeature.RequestClose() => Native.RequestClose(Exchange);

    void IHttpRequestLifetimeFeature.Abort()
    {
        Server.Log.ApplicationAborted(this);
        AbortConnection();
    }

    void IConnectionLifetimeFeature.Abort() => AbortConnection();

    /// <summary>The host says that the client has gone away.</summary>
    internal void OnAborted(uint generation)
    {
        long seen;
        do
        {
            seen = Volatile.Read(ref _life);
            if (generation == 0 || (uint)(seen >> 32) != generation || (seen & AbortedBit) != 0)
            {
                return;
            }
        }
        while (Interlocked.CompareExchange(ref _life, seen | AbortedBit, seen) != seen);
        _reader.Wake();
        _upgradedReader?.Wake();
        _writer.Wake();
        CancelTokens(generation);
    }

    /// <summary>Cuts off what still runs when its server is stopped.</summary>
    internal void AbortIfOf(HostServer server)
    {
        if (ReferenceEquals(Server, server))
        {
            AbortConnection();
        }
    }

    private void AbortConnection()
    {
        var generation = Generation;
        if (generation != 0)
        {
            Native.Abort(Exchange);
            OnAborted(generation);
        }
    }

    private long NewLife(uint generation) => ((long)generation << 32) | (_requestNumber << LifeBits);

    /// <summary>From now on the client may go away without anybody being told.</summary>
    private void SetComplete() => Interlocked.Or(ref _life, CompleteBit);

    private CancellationToken AbortToken()
    {
        lock (_abortLock)
        {
            var life = Volatile.Read(ref _life);
            if ((life & AbortedBit) != 0 && _aborted is null)
            {
                return new CancellationToken((life & CompleteBit) == 0);
            }
            return (_aborted ??= new CancellationTokenSource()).Token;
        }
    }

    private CancellationToken ConnectionToken()
    {
        lock (_abortLock)
        {
            return IsAborted && _connectionClosed is null
                ? new CancellationToken(true)
                : (_connectionClosed ??= new CancellationTokenSource()).Token;
        }
    }

    /// <summary>Runs on the pool: the callbacks of a token are the application's, and take as long as they like.</summary>
    private void CancelTokens(uint generation)
    {
        CancellationTokenSource? request = null;
        lock (_abortLock)
        {
            // Taken out, so that the next request has another: this one may be canceled when that runs.
            var life = Volatile.Read(ref _life);
            if ((uint)(life >> 32) == generation && (life & CompleteBit) == 0)
            {
                request = _aborted;
                _aborted = request is null ? null : s_canceled;
            }
        }
        Cancel(request);
        CloseConnectionToken();
    }

    private void CloseConnectionToken()
    {
        CancellationTokenSource? connection;
        lock (_abortLock)
        {
            connection = _connectionClosed;
            _connectionClosed = null;
        }
        Cancel(connection);
    }

    /// <summary>Stands for a source that was taken out.</summary>
    private static readonly CancellationTokenSource s_canceled = Canceled();

    private static CancellationTokenSource Canceled()
    {
        var source = new CancellationTokenSource();
        source.Cancel();
        return source;
    }

    private void Cancel(CancellationTokenSource? source)
    {
        if (source is null)
        {
            return;
        }
        ThreadPool.UnsafeQueueUserWorkItem(
            static work =>
            {
                try
                {
                    work.source.Cancel();
                }
                catch (Exception e)
                {
                    Native.Log(LogLevels.Error, "Polyhost.AspNetCore", $"a callback of RequestAborted failed: {e}");
                }
            },
            (context: this, source),
            preferLocal: false);
    }

    private void EndLifetime()
    {
        _givenToken = null;
        if (_aborted is null)
        {
            return;
        }
        lock (_abortLock)
        {
            if (_aborted is { } source && (ReferenceEquals(source, s_canceled) || !source.TryReset()))
            {
                _aborted = null;
            }
        }
    }
}

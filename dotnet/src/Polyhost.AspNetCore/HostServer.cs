using System.Collections.Concurrent;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Polyhost.AspNetCore;

/// <summary>The server of one application: hands it the requests that the host takes for it.</summary>
internal sealed class HostServer : IServer
{
    private static readonly object s_lock = new();

    /// <summary>By the application's id. Replaced when it grows; read without the lock.</summary>
    private static HostServer?[] s_servers = new HostServer?[8];

    private readonly ConcurrentStack<ConnectionMemory> _memory = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Func<ConnectionMemory, RequestContext>? _newContext;
    private int _running;
    private bool _isStopped;

    public HostServer(AppRegistration app, ILoggerFactory? loggerFactory = null)
    {
        App = app;
        Log = new ServerLog(loggerFactory ?? NullLoggerFactory.Instance);
        Features.Set<IServerAddressesFeature>(new ServerAddressesFeature());
    }

    public IFeatureCollection Features { get; } = new FeatureCollection();

    internal AppRegistration App { get; }

    internal ServerOptions Options => App.Options;

    internal ServerLog Log { get; }

    /// <summary>Canceled when connections are to end, each after its request.</summary>
    internal CancellationToken Stopping => _stopping.Token;

    /// <summary>What every request starts from: no AsyncLocal has a value in it.</summary>
    internal ExecutionContext CleanContext { get; private set; } = null!;

    public Task StartAsync<TContext>(IHttpApplication<TContext> application, CancellationToken cancellationToken)
        where TContext : notnull
    {
        if (_newContext is not null)
        {
            throw new InvalidOperationException("Server has already started.");
        }
        CleanContext = CaptureClean();
        _newContext = memory => new RequestContext<TContext>(this, application, memory);
        Register(App.Id, this);
        App.Server = this;
        // From here on requests may come.
        var addresses = Features.Get<IServerAddressesFeature>()!.Addresses;
        try
        {
            var served = Native.Listen(App.Id, Announcement.Of(this));
            addresses.Clear();
            foreach (var address in served)
            {
                addresses.Add(address);
            }
        }
        catch (Exception)
        {
            // The application may try again, with another server.
            Unregister();
            throw;
        }
        // At once: the host's own start then needs no continuations, each of which would have to be compiled.
        return Task.CompletedTask;
    }

    /// <summary>Takes no more requests, and waits for those that run; those that are left when the token says so are
    /// cut off.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (_newContext is null || !Unregister())
        {
            return;
        }
        ThreadPool.UnsafeQueueUserWorkItem(static server => server.CancelStopping(), this, preferLocal: false);
        await Drain(cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (Volatile.Read(ref _running) > 0)
        {
            ContextTable.ForEach(context => context.AbortIfOf(this));
        }
    }

    /// <summary>The stop was all.</summary>
    public void Dispose()
    {
    }

    /// <summary>A context for a connection that has its first request; 0 where the server has stopped.</summary>
    internal static unsafe uint Rent(uint app, Connection* connection)
    {
        if (Find(app) is not { } server)
        {
            return 0;
        }
        var memory = server._memory.TryPop(out var used) ? used : ConnectionMemory.New();
        var context = server._newContext!(memory);
        context.Bind(connection);
        return context.Id = ContextTable.Add(context);
    }

    /// <summary>Takes a request for an application, on the thread that has read it.</summary>
    internal static unsafe void Take(uint app, Request* request)
    {
        var server = Find(app);
        var context = ContextTable.Find(request->Context);
        if (server is null || context is null || context.Server != server)
        {
            AnswerUnavailable(request);
            return;
        }
        // Counted first: whoever stops the server either sees it, or is seen here.
        if (Interlocked.Increment(ref server._running) > 0 && Volatile.Read(ref server._isStopped))
        {
            server.OnRequestEnded();
            AnswerUnavailable(request);
            return;
        }
        server.Run(context, request);
    }

    /// <summary>Told of every request that was taken, when it is over.</summary>
    internal void OnRequestEnded()
    {
        if (Interlocked.Decrement(ref _running) == 0 && Volatile.Read(ref _isStopped))
        {
            _drained.TrySetResult();
        }
    }

    /// <summary>Takes back the memory of a connection that is closed.</summary>
    internal void Return(RequestContext context)
    {
        ContextTable.Remove(context.Id);
        _memory.Push(context.Unbind());
    }

    private static HostServer? Find(uint app)
    {
        var servers = Volatile.Read(ref s_servers);
        return app < (uint)servers.Length ? Volatile.Read(ref servers[app]) : null;
    }

    private unsafe void Run(RequestContext context, Request* request)
    {
        try
        {
            context.Begin(request);
        }
        catch (Exception)
        {
            OnRequestEnded();
            throw;
        }
        if ((request->Flags & RequestFlags.Inline) != 0)
        {
            context.RunInline();
        }
        else
        {
            ThreadPool.UnsafeQueueUserWorkItem(context, preferLocal: false);
        }
    }

    private Task Drain(CancellationToken cancellationToken)
    {
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _running) == 0)
        {
            _drained.TrySetResult();
        }
        return _drained.Task.WaitAsync(cancellationToken);
    }

    private void CancelStopping()
    {
        try
        {
            _stopping.Cancel();
        }
        catch (Exception e)
        {
            Native.Log(LogLevels.Error, "Polyhost.AspNetCore", $"a callback of ConnectionClosedRequested failed: {e}");
        }
    }

    /// <summary>Takes no more requests. False where that was done before.</summary>
    private bool Unregister()
    {
        lock (s_lock)
        {
            if (_isStopped)
            {
                return false;
            }
            _isStopped = true;
            s_servers[App.Id] = null;
            App.Server = null;
            return true;
        }
    }

    private static unsafe void AnswerUnavailable(Request* request)
    {
        var head = new ResponseHead { Size = (uint)sizeof(ResponseHead), Status = 503, ContentLength = 0 };
        var exchange = new ExchangeId(request->Slot, request->Generation);
        Native.RequestClose(exchange);
        Native.Send(exchange, &head, null, 0, SendFlags.End | SendFlags.Release);
    }

    private static void Register(uint app, HostServer server)
    {
        lock (s_lock)
        {
            if (app >= s_servers.Length)
            {
                var larger = new HostServer?[Math.Max(s_servers.Length * 2, (int)app + 1)];
                s_servers.CopyTo(larger, 0);
                Volatile.Write(ref s_servers, larger);
            }
            if (s_servers[app] is not null)
            {
                throw new InvalidOperationException($"application {app} has a server already");
            }
            Volatile.Write(ref s_servers[app], server);
        }
    }

    /// <summary>Whoever starts the application may have AsyncLocals of its own; a thread started unsafely has none.</summary>
    private static ExecutionContext CaptureClean()
    {
        ExecutionContext? captured = null;
        var thread = new Thread(() => captured = ExecutionContext.Capture());
        thread.UnsafeStart();
        thread.Join();
        return captured!;
    }
}

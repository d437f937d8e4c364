using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Http;

namespace Polyhost.AspNetCore;

/// <summary>
/// A request and its response, as the application sees them: one object that is every feature of a server. A connection
/// has one for all its requests.
/// </summary>
/// <remarks>
/// From <see cref="Begin"/> until the last call to the host with <see cref="SendFlags.Release"/> it is this request's;
/// after that call nothing here may be touched, for the next request may run on another thread already.
/// </remarks>
internal abstract partial class RequestContext : IThreadPoolWorkItem
{
    internal static readonly string[] Methods =
    [
        HttpMethods.Get, HttpMethods.Head, HttpMethods.Post, HttpMethods.Put, HttpMethods.Delete, HttpMethods.Patch,
        HttpMethods.Options, HttpMethods.Trace, HttpMethods.Connect,
    ];

    private const byte HeadMethod = 2;
    private const byte ConnectMethod = 9;

    private static readonly ContextCallback s_run = static state => Unsafe.As<RequestContext>(state!).Run();

    private readonly RequestHeaders _requestHeaders;
    private readonly ResponseHeaders _responseHeaders;
    private readonly RequestBodyReader _reader;
    private readonly RequestBodyStream _requestStream;
    private readonly ResponseBodyWriter _writer;
    private readonly ResponseBodyStream _responseStream;
    private readonly Action _resume;

    private Request _request;

    /// <summary>The lines of its head; pinned.</summary>
    private Header[] _lines;
    private List<Header[]>? _tooSmall;
    private Task _application = Task.CompletedTask;

    /// <summary>The thread that the application still runs on since the host called, if it is to run there.</summary>
    private int _inlineThread;

    /// <summary>Bits of <see cref="Hold"/>.</summary>
    private int _hold;

    protected RequestContext(HostServer server, ConnectionMemory memory)
    {
        Server = server;
        _lines = memory.Lines;
        _requestHeaders = new RequestHeaders(this, server.Options.RequestHeaderEncoding);
        _responseHeaders = new ResponseHeaders(memory.Headers, server.Options.ResponseHeaderEncoding);
        _reader = new RequestBodyReader(this);
        _requestStream = new RequestBodyStream(this, _reader);
        _writer = new ResponseBodyWriter(this, memory.Body);
        _responseStream = new ResponseBodyStream(this, _writer);
        _resume = Finish;
        RequestHeaders = _requestHeaders;
        ResponseHeaders = _responseHeaders;
    }

    private static class Hold
    {
        /// <summary>A request is in here.</summary>
        internal const int Running = 1;

        /// <summary>Its connection is gone.</summary>
        internal const int Closed = 2;
    }

    internal HostServer Server { get; }

    /// <summary>What the host knows the context by.</summary>
    internal uint Id { get; set; }

    /// <summary>The request in the host's words. What it calls with is checked there.</summary>
    internal ExchangeId Exchange => new(_request.Slot, _request.Generation);

    internal bool IsHead => _request.Method == HeadMethod;

    /// <summary>Whether this is the host's own thread, which must not wait for what it has to do itself.</summary>
    internal bool IsOnHostThread => _inlineThread != 0 && _inlineThread == Environment.CurrentManagedThreadId;

    /// <summary>Whether the host's thread has called and is not back.</summary>
    internal bool IsInHostCall => Volatile.Read(ref _inlineThread) != 0;

    /// <summary>Takes over a request.</summary>
    internal unsafe void Begin(Request* request)
    {
        if ((Interlocked.Or(ref _hold, Hold.Running) & Hold.Running) != 0)
        {
            throw new InvalidOperationException("bridge bug: a request before the connection's last one was released");
        }
        _request = *request;
        KeepLines(request);
        _requestNumber++;
        ResetFeatures();
        ResetRequest();
        ResetResponse();
        // Last: from here on it can be read.
        Volatile.Write(ref _life, NewLife(_request.Generation));
    }

    /// <summary>The host's list of lines is gone when it has called; the bytes they name are not. Read without a lock by
    /// who is too late, so an array that became too small stays where it is.</summary>
    private unsafe void KeepLines(Request* request)
    {
        var count = (int)request->HeaderCount;
        if (_lines.Length < count)
        {
            (_tooSmall ??= []).Add(_lines);
            _lines = GC.AllocateUninitializedArray<Header>(Math.Max(count, 2 * _lines.Length), pinned: true);
        }
        new ReadOnlySpan<Header>(request->Headers, count).CopyTo(_lines);
        _request.Headers = (Header*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_lines));
    }

    /// <summary>Runs the application on this thread, which is the host's, until it first awaits.</summary>
    internal void RunInline()
    {
        _inlineThread = Environment.CurrentManagedThreadId;
        ExecutionContext.Run(Server.CleanContext, s_run, this);
    }

    /// <summary>Runs it on the pool, where every work item starts with a clean context.</summary>
    void IThreadPoolWorkItem.Execute() => Run();

    internal void OnBodyReady(uint generation)
    {
        if (Generation == generation)
        {
            _reader.Wake();
            _upgradedReader?.Wake();
        }
    }

    internal void OnWritable(uint generation)
    {
        if (Generation == generation)
        {
            _writer.Wake();
        }
    }

    /// <summary>The host forgets the context; a request that still runs is finished first.</summary>
    internal void OnConnectionClosed()
    {
        if ((Interlocked.Or(ref _hold, Hold.Closed) & Hold.Running) == 0)
        {
            Server.Return(this);
        }
    }

    protected abstract void CreateHostContext();

    protected abstract Task ProcessAsync();

    protected abstract void DisposeHostContext(Exception? exception);

    private void Run()
    {
        Exception? unreadable;
        try
        {
            unreadable = _requestHeaders.FindUnreadable();
            if (unreadable is not null)
            {
                // Hosting looks at some, too.
                RequestHeaders = new HeaderDictionary();
            }
            CreateHostContext();
        }
        catch (Exception e)
        {
            Server.Log.ApplicationError(this, e);
            Release(SendFlags.Abort);
            return;
        }
        Task application;
        try
        {
            application = unreadable is null ? ProcessAsync() : Task.FromException(unreadable);
        }
        catch (Exception e)
        {
            application = Task.FromException(e);
        }
        _application = application;
        if (application.IsCompleted)
        {
            Finish();
            return;
        }
        if (_inlineThread != 0)
        {
            _inlineThread = 0;
            _writer.SendDeferred();
        }
        application.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(_resume);
    }

    /// <summary>Does what is left when the application has returned.</summary>
    private void Finish()
    {
        if (_application.IsCompletedSuccessfully && !HasCallbacks && _failure is null && _writer.Completion.IsCompleted)
        {
            FinishPlain();
        }
        else if (!FinishAsync().IsCompleted)
        {
            // Where this is the host's thread, that is given back now; another may have the next request here already.
            Interlocked.CompareExchange(ref _inlineThread, 0, Environment.CurrentManagedThreadId);
        }
    }

    /// <summary>The usual end: nothing failed, and nobody is to be told. One call to the host.</summary>
    private void FinishPlain()
    {
        var last = SendFlags.Abort;
        try
        {
            StopReading();
            _writer.Stop();
            if (!IsAborted && LengthMismatch() is { } mismatch)
            {
                ReportError(mismatch);
            }
            last = PrepareEnd();
        }
        catch (Exception e)
        {
            ReportError(e);
        }
        TryDisposeHostContext();
        Release(last);
    }

    private async Task FinishAsync()
    {
        var last = SendFlags.None;
        try
        {
            await FinishApplication();
            StopReading();
            _writer.Stop();
            last = PrepareEnd();
            if (_onCompleted?.Count > 0)
            {
                // The client has its response before they run, however long that takes.
                SendLast(last);
                last = SendFlags.None;
                await FireOnCompleted();
            }
        }
        catch (Exception e)
        {
            ReportError(e);
            last |= SendFlags.Abort;
        }
        TryDisposeHostContext();
        Release(last);
    }

    /// <summary>Takes the application's outcome; what it wanted to do before the response starts is done.</summary>
    private async ValueTask FinishApplication()
    {
        try
        {
            await _application;
            await _writer.Completion;
            if (!HasStarted && _failure is null && _onStarting?.Count > 0)
            {
                await FireOnStarting();
            }
            if (!IsAborted && LengthMismatch() is { } mismatch)
            {
                ReportError(mismatch);
            }
        }
        catch (BadHttpRequestException e)
        {
            Reject(e);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException && IsAborted)
        {
            Server.Log.RequestAborted(this);
        }
        catch (Exception e)
        {
            ReportError(e);
        }
    }

    /// <summary>What the application has put in place may be large, and the connection may idle for long.</summary>
    private void Forget()
    {
        ResetFeatures();
        _givenRequestBody = null;
        _givenReaderStream = null;
        _givenReader = null;
        _givenResponseBody = null;
        _trailers = null;
        _failure = null;
        _rejection = null;
        RequestHeaders = _requestHeaders;
        ResponseHeaders = _responseHeaders;
        _onStarting?.Clear();
        _onCompleted?.Clear();
    }

    private void StopReading()
    {
        _reader.Stop();
        _upgradedReader?.Stop();
    }

    private void TryDisposeHostContext()
    {
        try
        {
            DisposeHostContext(_failure);
        }
        catch (Exception e)
        {
            Server.Log.ApplicationError(this, e);
        }
    }

    /// <summary>Sends the last of the response, and gives the exchange back.</summary>
    private void Release(SendFlags last)
    {
        _inlineThread = 0;
        _application = Task.CompletedTask;
        StopReading();
        _writer.Stop();
        _reader.Reset();
        _upgradedReader?.Reset();
        var server = Server;
        var exchange = Exchange;
        // Who reads the head now finds that it is over, before the host may write over it; and an abort that comes now
        // finds no token of the next request.
        Volatile.Write(ref _life, 0);
        EndLifetime();
        Forget();
        var isClosed = (Interlocked.And(ref _hold, ~Hold.Running) & Hold.Closed) != 0;
        _writer.Release(exchange, last);
        // Not this any more, unless there is no connection to have a next request.
        server.OnRequestEnded();
        if (isClosed)
        {
            server.Return(this);
        }
    }
}

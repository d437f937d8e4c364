// polyhost: source gen/Conformance.cs
// polyhost: reference Google.Protobuf.dll
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Conformance.V1;
using Google.Protobuf;
using Polyhost;

/// <summary>What the conformance suite asks of a guest; see conformance.proto.</summary>
internal sealed class ConformanceGuest
{
    private const string Service = "conformance.v1.Conformance/";

    private static readonly Nothing s_nothing = new();

    private static PosixSignalRegistration? s_signal;

    private long _sum;
    private CallContext? _kept;

    /// <summary>Returns the request, unknown fields included.</summary>
    [Export(Service + "Echo")]
    public static AllTypes Echo(AllTypes request) => request;

    [Export(Service + "EchoAsync")]
    public static async Task<AllTypes> EchoAsync(AllTypes request)
    {
        await Task.Yield();
        return request;
    }

    [Export(Service + "Fail")]
    public static Nothing Fail(FailRequest request)
    {
        if (!request.Wrapped)
        {
            return Raise(request.Depth, request);
        }
        try
        {
            return Raise(request.Depth, request);
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"wrapped: {request.Message}", e);
        }
    }

    [Export(Service + "CallService")]
    public static CallServiceReply CallService(CallServiceRequest request, CallContext context)
    {
        var reply = new CallServiceReply();
        try
        {
            for (var i = 0u; i < Math.Max(1, request.Times); i++)
            {
                reply.Output = context.Call(request.Service, request.Input.Span, ByteString.CopyFrom);
            }
        }
        catch (ServiceException e) when (request.Catch)
        {
            reply.Code = (int)e.Code;
            reply.Message = e.Message;
        }
        return reply;
    }

    [Export(Service + "Context")]
    public static ContextReply Context(Nothing request, CallContext context)
    {
        var reply = new ContextReply { HasDeadline = context.Remaining is not null, Cancelled = context.IsCancelled };
        reply.RemainingNanos = (context.Remaining ?? default).Ticks * TimeSpan.NanosecondsPerTick;
        foreach (var (key, value) in context.Metadata)
        {
            reply.Metadata[key] = value;
        }
        return reply;
    }

    [Export(Service + "Log")]
    public static Nothing WriteLog(LogRequest request)
    {
        Log.Write(Enum.Parse<LogLevel>(request.Level, ignoreCase: true), request.Message, "conformance");
        return s_nothing;
    }

    [Export(Service + "Add")]
    public AddReply Add(AddRequest request) => new() { Sum = Interlocked.Add(ref _sum, request.N) };

    [Export(Service + "Spin")]
    public static Nothing Spin(SpinRequest request, CallContext context)
    {
        var token = context.CancellationToken;
        switch (request.How)
        {
            case SpinRequest.Types.How.Catch:
                Catch(token);
                break;
            case SpinRequest.Types.How.Coroutine:
                foreach (var _ in Generate(token))
                {
                }
                break;
            case SpinRequest.Types.How.Wait:
                token.WaitHandle.WaitOne();
                break;
        }
        while (true)
        {
            token.ThrowIfCancellationRequested();
        }
    }

    [Export(Service + "Recurse")]
    public static RecurseReply Recurse(RecurseRequest request) =>
        new() { Depth = Descend(request.Depth == 0 ? uint.MaxValue : request.Depth) };

    [Export(Service + "Grow")]
    public static GrowReply Grow(GrowRequest request) =>
        new() { Payload = UnsafeByteOperations.UnsafeWrap(new byte[request.Size]) };

    [Export(Service + "Misbehave")]
    public Nothing Misbehave(MisbehaveRequest request, CallContext context)
    {
        switch (request.Deed)
        {
            case MisbehaveRequest.Types.Deed.Exit:
                Environment.Exit(9);
                break;
            case MisbehaveRequest.Types.Deed.ThrowOnThread:
                new Thread(() => throw new InvalidOperationException("thrown on a thread of the guest's own")).Start();
                break;
            case MisbehaveRequest.Types.Deed.KeepBuffer:
                // The language keeps spans and outputs from being kept.
                _kept = context;
                break;
            case MisbehaveRequest.Types.Deed.UseKeptBuffer:
                _ = _kept!.Remaining;
                break;
            case MisbehaveRequest.Types.Deed.Null:
                return Dereference(null);
            case MisbehaveRequest.Types.Deed.Abort:
                Environment.FailFast("the guest ends the process");
                break;
            case MisbehaveRequest.Types.Deed.UnobservedTask:
                Abandon();
                GC.Collect();
                GC.WaitForPendingFinalizers();
                break;
            case MisbehaveRequest.Types.Deed.Allocate:
                Allocate();
                break;
            case MisbehaveRequest.Types.Deed.Log:
                while (!context.IsCancelled)
                {
                    Log.Info(new string('x', 100));
                }
                break;
            case MisbehaveRequest.Types.Deed.IgnoreCancel:
                Log.Info("goes on");
                while (true)
                {
                    Thread.SpinWait(1000);
                }
            case MisbehaveRequest.Types.Deed.Fork:
                Libc.ForkAndWait();
                break;
            case MisbehaveRequest.Types.Deed.CloseFiles:
                for (var descriptor = 3; descriptor < 1 << 16; descriptor++)
                {
                    _ = Libc.Close(descriptor);
                }
                break;
            case MisbehaveRequest.Types.Deed.ChangeFolder:
                Directory.SetCurrentDirectory("/");
                break;
            case MisbehaveRequest.Types.Deed.TakeSignal:
                s_signal = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal => signal.Cancel = true);
                break;
            case MisbehaveRequest.Types.Deed.SetLocale:
                _ = Libc.SetLocale(6, "C.UTF-8");
                break;
            default:
                throw new StatusException(StatusCode.InvalidArgument, $"unknown deed {request.Deed}");
        }
        return s_nothing;
    }

    private static void Catch(CancellationToken token)
    {
        while (true)
        {
            try
            {
                token.ThrowIfCancellationRequested();
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
            }
        }
    }

    private static IEnumerable<int> Generate(CancellationToken token)
    {
        while (true)
        {
            token.ThrowIfCancellationRequested();
            yield return 0;
        }
    }

    private static void Allocate()
    {
        for (var kept = new List<byte[]>(); ;)
        {
            kept.Add(new byte[1 << 16]);
        }
    }

    [Export("raw/Echo")]
    private static void RawEcho(ReadOnlySpan<byte> input, Output output) => output.Write(input);

    [Export("raw/ReadFile")]
    private static byte[] ReadFile(byte[] path)
    {
        using var file = File.OpenRead(Encoding.UTF8.GetString(path));
        using var content = new MemoryStream();
        file.CopyTo(content);
        return content.ToArray();
    }

    [Export("raw/Trace")]
    private static byte[] Trace(byte[] input, CallContext context)
    {
        var trace = context.TraceContext;
        var parent = trace == default ? "" : $"00-{trace.TraceId}-{trace.SpanId}-{(int)trace.TraceFlags:x2}";
        return Encoding.UTF8.GetBytes($"{parent}\n{trace.TraceState}");
    }

    /// <summary>No other wrong type gets past the compiler.</summary>
    [Export("raw/WrongType")]
    private static byte[] WrongType(byte[] input) => null!;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Nothing Raise(uint depth, FailRequest request)
    {
        if (depth > 0)
        {
            return Raise(depth - 1, request);
        }
        throw request.Code == 0
            ? new InvalidOperationException(request.Message)
            : new StatusException((StatusCode)request.Code, request.Message);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static uint Descend(uint depth) => depth <= 1 ? 1 : Descend(depth - 1) + 1;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Nothing Dereference(MisbehaveRequest? request)
    {
        _ = request!.Deed;
        return s_nothing;
    }

    // Not inlined, so that no local of the caller's keeps the task; and on this thread, as a thread of the pool may still
    // hold a task that has ended.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Abandon() => _ = Fail();

    private static async Task Fail()
    {
        await Task.CompletedTask;
        throw new InvalidOperationException("nobody awaits this");
    }
}

/// <summary>What .NET itself has no way to do.</summary>
internal static class Libc
{
    [DllImport("libc", EntryPoint = "close")]
    internal static extern int Close(int descriptor);

    [DllImport("libc", EntryPoint = "setlocale", CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    internal static extern IntPtr SetLocale(int category, string locale);

    internal static void ForkAndWait()
    {
        // Bound before: the new process has no thread that could.
        Marshal.PrelinkAll(typeof(Libc));
        var child = Fork();
        if (child == 0)
        {
            Exit(0);
        }
        _ = WaitPid(child, out _, 0);
    }

    [DllImport("libc", EntryPoint = "fork")]
    private static extern int Fork();

    [DllImport("libc", EntryPoint = "_exit")]
    private static extern void Exit(int code);

    [DllImport("libc", EntryPoint = "waitpid")]
    private static extern int WaitPid(int child, out int status, int options);
}

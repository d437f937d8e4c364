// polyhost: source gen/Conformance.cs
// polyhost: reference Google.Protobuf.dll
using System.Runtime.CompilerServices;
using System.Text;
using Conformance.V1;
using Google.Protobuf;
using Polyhost;

/// <summary>What the conformance suite asks of a guest; see conformance.proto.</summary>
internal sealed class ConformanceGuest
{
    private const string Service = "conformance.v1.Conformance/";

    private static readonly Nothing s_nothing = new();

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
    public static Nothing Spin(Nothing request, CallContext context)
    {
        for (var token = context.CancellationToken; ;)
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
            default:
                throw new StatusException(StatusCode.InvalidArgument, $"unknown deed {request.Deed}");
        }
        return s_nothing;
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

    // Not inlined, so that no local of the caller's keeps the task.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Abandon()
    {
        var task = Task.Run(() => throw new InvalidOperationException("nobody awaits this"));
        ((IAsyncResult)task).AsyncWaitHandle.WaitOne();
    }
}

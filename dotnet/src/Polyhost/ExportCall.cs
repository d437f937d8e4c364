namespace Polyhost;

/// <summary>An export that takes and returns values: messages or byte arrays.</summary>
internal abstract class ExportCall<TRequest, TReply>(GuestModule module, string name)
    where TRequest : class
    where TReply : class
{
    private readonly Codec<TRequest> _request = Codec<TRequest>.Instance;
    private readonly Codec<TReply> _reply = Codec<TReply>.Instance;

    /// <summary>Runs the export with the message that <paramref name="input"/> is.</summary>
    internal void Run(ReadOnlySpan<byte> input, Output output)
    {
        var request = Read(input);
        TReply? reply;
        CallScope scope = default;
        CallScope.Enter(ref scope, output, module);
        try
        {
            reply = Invoke(request, ref scope);
        }
        finally
        {
            scope.Leave();
        }
        Write(reply, output);
    }

    /// <summary>Calls the guest's method and waits for its reply.</summary>
    protected abstract TReply? Invoke(TRequest request, ref CallScope scope);

    private TRequest Read(ReadOnlySpan<byte> input)
    {
        try
        {
            return _request.Reader(input);
        }
        catch (Exception e) when (e.GetType().Name == "InvalidProtocolBufferException")
        {
            throw new BoundaryException(ErrorKind.Decode, $"the request of {name} is not a {_request.TypeName}: {e.Message}", e);
        }
    }

    private void Write(TReply? reply, Output output)
    {
        if (reply is null)
        {
            var expected = _reply.TypeName.Length == 0 ? "byte[]" : _reply.TypeName;
            throw new BoundaryException(ErrorKind.Encode, $"{name} returned null, not a {expected}");
        }
        var size = _reply.Size(reply);
        _reply.Write(reply, output.GetSpan(size)[..size]);
        output.Advance(size);
    }
}

internal sealed class PlainCall<TRequest, TReply>(GuestModule module, string name, Func<TRequest, TReply> method)
    : ExportCall<TRequest, TReply>(module, name)
    where TRequest : class
    where TReply : class
{
    protected override TReply? Invoke(TRequest request, ref CallScope scope) => method(request);
}

internal sealed class ContextCall<TRequest, TReply>(
    GuestModule module, string name, Func<TRequest, CallContext, TReply> method)
    : ExportCall<TRequest, TReply>(module, name)
    where TRequest : class
    where TReply : class
{
    protected override TReply? Invoke(TRequest request, ref CallScope scope) => method(request, scope.Context);
}

/// <summary>An export that can await. The call waits on its own thread: none of the pool's is held up.</summary>
internal abstract class AsyncCall<TRequest, TReply>(GuestModule module, string name)
    : ExportCall<TRequest, TReply>(module, name)
    where TRequest : class
    where TReply : class
{
    protected sealed override TReply? Invoke(TRequest request, ref CallScope scope)
    {
        var outer = CallScope.Flowing;
        CallScope.Flowing = scope.Context;
        try
        {
            var reply = Start(request, scope.Context);
            return reply.IsCompletedSuccessfully ? reply.Result : reply.AsTask().GetAwaiter().GetResult();
        }
        finally
        {
            // The thread keeps its execution context for the next call.
            CallScope.Flowing = outer;
        }
    }

    protected abstract ValueTask<TReply> Start(TRequest request, CallContext context);

    /// <summary>No task has no reply, which is refused like any reply that is null.</summary>
    protected static ValueTask<TReply> Of(Task<TReply>? task) => task is null ? default : new(task);
}

internal sealed class TaskCall<TRequest, TReply>(GuestModule module, string name, Func<TRequest, Task<TReply>> method)
    : AsyncCall<TRequest, TReply>(module, name)
    where TRequest : class
    where TReply : class
{
    protected override ValueTask<TReply> Start(TRequest request, CallContext context) => Of(method(request));
}

internal sealed class TaskContextCall<TRequest, TReply>(
    GuestModule module, string name, Func<TRequest, CallContext, Task<TReply>> method)
    : AsyncCall<TRequest, TReply>(module, name)
    where TRequest : class
    where TReply : class
{
    protected override ValueTask<TReply> Start(TRequest request, CallContext context) =>
        Of(method(request, context));
}

internal sealed class ValueTaskCall<TRequest, TReply>(
    GuestModule module, string name, Func<TRequest, ValueTask<TReply>> method)
    : AsyncCall<TRequest, TReply>(module, name)
    where TRequest : class
    where TReply : class
{
    protected override ValueTask<TReply> Start(TRequest request, CallContext context) => method(request);
}

internal sealed class ValueTaskContextCall<TRequest, TReply>(
    GuestModule module, string name, Func<TRequest, CallContext, ValueTask<TReply>> method)
    : AsyncCall<TRequest, TReply>(module, name)
    where TRequest : class
    where TReply : class
{
    protected override ValueTask<TReply> Start(TRequest request, CallContext context) => method(request, context);
}

/// <summary>An export on host memory that takes its call's context.</summary>
internal sealed class SpanContextCall(GuestModule module, SpanContextCall.Method method)
{
    internal delegate void Method(ReadOnlySpan<byte> input, Output output, CallContext context);

    internal void Run(ReadOnlySpan<byte> input, Output output)
    {
        CallScope scope = default;
        CallScope.Enter(ref scope, output, module);
        try
        {
            method(input, output, scope.Context);
        }
        finally
        {
            scope.Leave();
        }
    }
}

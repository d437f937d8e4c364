using System.Buffers;
using System.Text;

namespace Polyhost;

/// <summary>Makes a value of bytes that are gone when it returns, as <c>HelloReply.Parser.ParseFrom</c> does.</summary>
public delegate T SpanReader<out T>(ReadOnlySpan<byte> bytes);

public sealed unsafe partial class CallContext
{
    private const int StackBytes = 512;

    /// <summary>Calls a host service with a message, and gives its reply.</summary>
    /// <typeparam name="TRequest">A message of Google.Protobuf, or <c>byte[]</c>.</typeparam>
    /// <typeparam name="TReply">A message of Google.Protobuf, or <c>byte[]</c>.</typeparam>
    /// <param name="service">Its name, such as <c>greeter.v1.Greeter/SayHello</c>. It runs on this thread, with this
    /// call's deadline, cancellation and metadata.</param>
    /// <param name="request">What to send.</param>
    /// <exception cref="ServiceException">It failed, or there is none of that name.</exception>
    public TReply Call<TRequest, TReply>(string service, TRequest request)
        where TRequest : class
        where TReply : class
    {
        ArgumentNullException.ThrowIfNull(request);
        var codec = Codec<TRequest>.Instance;
        var size = codec.Size(request);
        var rented = size > StackBytes ? ArrayPool<byte>.Shared.Rent(size) : null;
        try
        {
            var bytes = rented is null ? stackalloc byte[StackBytes] : rented.AsSpan();
            codec.Write(request, bytes[..size]);
            return Call(service, bytes[..size], Codec<TReply>.Instance.Reader);
        }
        finally
        {
            if (rented is not null)
            {
                ArrayPool<byte>.Shared.Return(rented);
            }
        }
    }

    /// <summary>Calls a host service with bytes, and gives its reply.</summary>
    /// <inheritdoc cref="Call{TRequest, TReply}"/>
    public byte[] Call(string service, ReadOnlySpan<byte> request) => Call(service, request, static b => b.ToArray());

    /// <summary>Calls a host service with bytes, and appends its reply to <paramref name="reply"/>.</summary>
    /// <inheritdoc cref="Call{TRequest, TReply}"/>
    public void Call(string service, ReadOnlySpan<byte> request, IBufferWriter<byte> reply)
    {
        ArgumentNullException.ThrowIfNull(reply);
        using var buffer = Send(service, request);
        reply.Write(buffer.Bytes);
    }

    /// <summary>Calls a host service with bytes, and reads its reply where it lies.</summary>
    /// <inheritdoc cref="Call{TRequest, TReply}"/>
    public TReply Call<TReply>(string service, ReadOnlySpan<byte> request, SpanReader<TReply> read)
    {
        ArgumentNullException.ThrowIfNull(read);
        using var buffer = Send(service, request);
        return read(buffer.Bytes);
    }

    private HostBuffer Send(string service, ReadOnlySpan<byte> request)
    {
        ArgumentNullException.ThrowIfNull(service);
        var call = Enter();
        var scope = CallScope.Suspend();
        var reply = new HostBuffer();
        try
        {
            var id = Module.Services.TryGetValue(service, out var known) ? known : Find(call, service);
            fixed (byte* data = request)
            {
                var status = Host.Table->ServiceCall(call, id, new PolyhostSlice(data, request.Length), reply.Output);
                return status == 0 ? reply : throw Failure(call, service, status);
            }
        }
        catch (Exception)
        {
            reply.Dispose();
            throw;
        }
        finally
        {
            CallScope.Resume(scope);
            Leave();
        }
    }

    private uint Find(PolyhostCall* call, string service)
    {
        uint id;
        var name = Encoding.UTF8.GetBytes(service);
        fixed (byte* data = name)
        {
            var status = Host.Table->ServiceFind(call, new PolyhostSlice(data, name.Length), &id);
            if (status != 0)
            {
                throw Failure(call, service, status);
            }
        }
        Module.Services[service] = id;
        return id;
    }

    private static ServiceException Failure(PolyhostCall* call, string service, int status)
    {
        using var report = new HostBuffer();
        PolyhostSlice message = default;
        var said = Host.Table->ServiceError(call, report.Output, &message);
        var text = said == 0 ? message.ToString() : $"host service {service} failed with status {status}";
        return new ServiceException(service, (StatusCode)status, text, report.Bytes.ToArray());
    }

    /// <summary>A buffer of the host's. Ours to free, once.</summary>
    private readonly ref struct HostBuffer
    {
        internal readonly PolyhostOutput* Output;

        public HostBuffer()
        {
            Output = Host.Table->OutputNew(0);
            if (Output is null)
            {
                throw new OutOfMemoryException();
            }
        }

        internal ReadOnlySpan<byte> Bytes => new(Output->Data, checked((int)Output->Length));

        public void Dispose() => Host.Table->OutputFree(Output);
    }
}

using Bench.V1;
using Google.Protobuf;
using Polyhost;

namespace BenchWorkloads;

/// <summary><c>bench.v1.Stages/Repeat</c> for the methods that are added.</summary>
internal sealed class Stages
{
    private readonly Dictionary<string, Func<RepeatRequest, ByteString>> _methods = [];
    private string? _echo;

    // What a stage has made is kept here, so that the compiler can't leave it out.
    private object? _kept;

    /// <summary>Adds a method.</summary>
    internal Stages Add<TRequest, TReply>(string name, MessageParser<TRequest> parser, Func<TRequest, TReply> method)
        where TRequest : IMessage<TRequest>
        where TReply : IMessage<TReply>
    {
        _methods.Add(name, request => Repeat(request, parser, method));
        return this;
    }

    /// <summary>Adds a method that writes its request to where its reply goes.</summary>
    internal Stages AddEcho(string name)
    {
        _echo = name;
        return this;
    }

    /// <summary>Does what the request says.</summary>
    internal void Repeat(ReadOnlySpan<byte> input, Output output)
    {
        RepeatRequest request = RepeatRequest.Parser.ParseFrom(input);
        ByteString last;
        if (request.Method == _echo)
        {
            last = RepeatEcho(request, output);
        }
        else if (_methods.TryGetValue(request.Method, out Func<RepeatRequest, ByteString>? repeat))
        {
            last = repeat(request);
        }
        else
        {
            throw new StatusException(StatusCode.NotFound, $"no method {request.Method}");
        }

        output.Write(new RepeatReply { Output = last }.ToByteArray());
    }

    // Each reply takes the place of the one before.
    private static ByteString RepeatEcho(RepeatRequest request, Output output)
    {
        ByteString last = ByteString.Empty;
        for (uint i = 0; i < request.Times; i++)
        {
            last = request.Inputs[(int)(i % (uint)request.Inputs.Count)];
            last.Span.CopyTo(output.GetSpan(last.Length));
        }

        return request.Stage is Stage.Encode ? last : ByteString.Empty;
    }

    private ByteString Repeat<TRequest, TReply>(
        RepeatRequest request, MessageParser<TRequest> parser, Func<TRequest, TReply> method)
        where TRequest : IMessage<TRequest>
        where TReply : IMessage<TReply>
    {
        ByteString output = ByteString.Empty;
        for (uint i = 0; i < request.Times; i++)
        {
            TRequest message = parser.ParseFrom(request.Inputs[(int)(i % (uint)request.Inputs.Count)].Span);
            _kept = message;
            if (request.Stage is Stage.Decode)
            {
                continue;
            }

            TReply reply = method(message);
            _kept = reply;
            if (request.Stage is Stage.Encode)
            {
                output = reply.ToByteString();
            }
        }

        return output;
    }
}

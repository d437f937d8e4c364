// These lines are for loading this file as it is: clr:GreeterGuest.cs
// polyhost: source ../../../hosts/examples/hello/clr/gen/Greeter.cs
// polyhost: reference Google.Protobuf.dll
using Greeter.V1;
using Polyhost;

namespace GreeterSample;

/// <summary>One object for the whole module; calls come on any thread, several at the same time.</summary>
public sealed class GreeterGuest
{
    private long _greeted;

    /// <summary>Greets by name, in the language that the metadata asks for.</summary>
    [Export("greeter.v1.Greeter/SayHello")]
    public HelloReply SayHello(HelloRequest request, CallContext context)
    {
        if (request.Name.Length == 0)
        {
            throw new StatusException(StatusCode.InvalidArgument, "name is empty");
        }
        var count = Interlocked.Increment(ref _greeted);
        Log.Debug($"greeting number {count}, {context.Remaining?.ToString() ?? "no limit"} left");
        var hello = context.GetMetadata("language") == "de" ? "Hallo" : "Hello";
        return new HelloReply { Text = $"{hello}, {request.Name}!" };
    }

    /// <summary>Passes a greeting through the host service <c>greeter.v1.Greeter/Translate</c>, which may be Rust or another
    /// guest in another language.</summary>
    [Export("greeter.v1.Greeter/SayHelloTranslated")]
    public HelloReply SayHelloTranslated(HelloRequest request, CallContext context) =>
        context.Call<HelloReply, HelloReply>("greeter.v1.Greeter/Translate", SayHello(request, context));

    /// <summary>Waits before it greets; the caller's deadline ends the wait.</summary>
    [Export("greeter.v1.Greeter/SayHelloLater")]
    public async Task<HelloReply> SayHelloLater(HelloRequest request, CallContext context)
    {
        await Task.Delay(TimeSpan.FromMilliseconds(20), context.CancellationToken);
        return SayHello(request, context);
    }

    /// <summary>Turns bytes round, in the host's own memory.</summary>
    [Export("raw/Reverse")]
    public static void Reverse(ReadOnlySpan<byte> input, Output output)
    {
        var room = output.GetSpan(input.Length)[..input.Length];
        input.CopyTo(room);
        room.Reverse();
        output.Advance(input.Length);
    }
}

// The next line is for loading this file as it is, without a build: clr:src/GreeterGuest.cs
// polyhost: source gen/*.cs
using Greeter.V1;
using Polyhost;

public static class GreeterGuest
{
    /// <summary>Greets by name.</summary>
    [Export("greeter.v1.Greeter/SayHello")] // What hosts call it by: package.Service/Method of greeter.proto.
    public static HelloReply SayHello(HelloRequest request)
    {
        if (request.Name.Length == 0)
        {
            // The caller gets this code, in whatever language it is written. Any other exception reaches it, too: as
            // UNKNOWN, with its stack.
            throw new StatusException(StatusCode.InvalidArgument, "name is empty");
        }
        Log.Debug($"greeting {request.Name}"); // A line of the host's log.
        return new HelloReply { Text = $"Hello, {request.Name}!" };
    }
}

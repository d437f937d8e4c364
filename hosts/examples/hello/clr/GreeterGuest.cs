// These lines are for loading this file as it is: clr:GreeterGuest.cs
// polyhost: source gen/*.cs
// polyhost: reference Google.Protobuf.dll
using Greeter.V1;
using Polyhost;

namespace HelloSample;

public static class GreeterGuest
{
    [Export("greeter.v1.Greeter/SayHello")]
    public static HelloReply SayHello(HelloRequest request) => new() { Text = $"Hello, {request.Name}, from C#!" };
}

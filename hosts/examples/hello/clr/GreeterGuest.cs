using Greeter.V1;
using Polyhost;

namespace HelloSample;

public static class GreeterGuest
{
    [Export("greeter.v1.Greeter/SayHello")]
    public static HelloReply SayHello(HelloRequest request) => new() { Text = $"Hello, {request.Name}, from C#!" };
}

// Exports are plain methods, and tested as such, here or under xunit. The exit code is the number of failures.
using Greeter.V1;
using Polyhost;

var failures = 0;

Test("greets by name", () =>
{
    var reply = GreeterGuest.SayHello(new HelloRequest { Name = "you" });
    Expect("Hello, you!", reply.Text);
});

Test("refuses an empty name", () =>
{
    try
    {
        GreeterGuest.SayHello(new HelloRequest());
    }
    catch (StatusException refused)
    {
        Expect(StatusCode.InvalidArgument, refused.Code);
        return;
    }
    throw new Exception("an empty name was greeted");
});

return failures;

void Test(string name, Action run)
{
    try
    {
        run();
        Console.WriteLine($"ok: {name}");
    }
    catch (Exception failure)
    {
        failures++;
        Console.WriteLine($"FAILED: {name}: {failure}");
    }
}

static void Expect<T>(T expected, T actual)
{
    if (!Equals(expected, actual))
    {
        throw new Exception($"expected {expected}, got {actual}");
    }
}

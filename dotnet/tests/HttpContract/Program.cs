// An ordinary application that exercises what a server promises its applications. The differential tests
// (hosts/tests/http.rs) run it under two servers and compare what comes back, so every answer is the same at each run.

using System.Diagnostics;
using System.Text;
using HttpContract;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

var builder = WebApplication.CreateBuilder(args);
builder.Logging.ClearProviders();
if (Environment.GetEnvironmentVariable("HTTP_CONTRACT_LIMITS") == "tight")
{
    builder.WebHost.ConfigureKestrel(Tighten);
}

// Without a listener, and without a logger, ASP.NET Core makes no Activity of a request: for whoever measures.
if (Environment.GetEnvironmentVariable("HTTP_CONTRACT_ACTIVITIES") != "none")
{
    ActivitySource.AddActivityListener(new ActivityListener
    {
        ShouldListenTo = source => source.Name == "Microsoft.AspNetCore",
        Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.PropagationData,
    });
}

builder.Services.AddSignalR();
var app = builder.Build();
app.UseWebSockets();
app.UseStaticFiles();
// Named here, or it would come first, choose the fallback, and leave nothing to the static files.
app.UseRouting();
Requests.Map(app);
Bodies.Map(app);
Responses.Map(app);
Failures.Map(app);
Lifetimes.Map(app);
Upgrades.Map(app);
Files.Map(app);
Features.Map(app);
Loads.Map(app);
app.MapHub<Chat>("/chat");

app.Lifetime.ApplicationStarted.Register(() =>
{
    foreach (var address in app.Urls)
    {
        Console.WriteLine($"Now listening on: {address}");
    }
});
if (Environment.GetEnvironmentVariable("HTTP_CONTRACT_UNTIL_EOF") is not null)
{
    // Whoever started this holds the other end, so that it ends with its parent however that ends.
    new Thread(() =>
    {
        while (Console.In.Read() >= 0) { }
        Environment.Exit(0);
    })
    { IsBackground = true }.Start();
}

app.Run();

// A Main without a result tells how it went in this way.
if (Environment.GetEnvironmentVariable("HTTP_CONTRACT_EXIT_CODE") is { } code)
{
    Environment.ExitCode = int.Parse(code);
}

static Encoding? Encode(string header) => header switch
{
    "X-Latin" or "User-Agent" => Encoding.Latin1,
    "X-Utf" => Encoding.UTF8,
    "X-Strict" => new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true),
    "X-Ascii" => Encoding.ASCII,
    _ => null,
};

static void Tighten(KestrelServerOptions options)
{
    options.AddServerHeader = false;
    options.AllowSynchronousIO = true;
    options.RequestHeaderEncodingSelector = Encode;
    options.ResponseHeaderEncodingSelector = Encode;
    options.Limits.MaxRequestLineSize = 128;
    options.Limits.MaxRequestHeaderCount = 5;
    options.Limits.MaxRequestHeadersTotalSize = 256;
    options.Limits.MaxRequestBodySize = 32;
    options.Limits.KeepAliveTimeout = TimeSpan.FromSeconds(1);
    options.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(1);
    options.Limits.MinRequestBodyDataRate = new MinDataRate(1000, TimeSpan.FromSeconds(2));
}

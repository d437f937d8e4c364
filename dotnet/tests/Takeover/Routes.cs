using System.Reflection;
using System.Runtime;
using System.Runtime.Loader;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;

namespace Takeover;

internal static class Routes
{
    private static int s_count;

    internal static void Map(IEndpointRouteBuilder routes)
    {
        var services = routes.ServiceProvider;
        services.GetRequiredService<IHostApplicationLifetime>().ApplicationStarted.Register(
            () => Console.WriteLine($"serving at {string.Join(' ', Addresses(services) ?? [])}"));
        Dispatch.Map(routes);
        routes.MapGet("/env", context => context.Response.WriteAsJsonAsync(Around(context.RequestServices)));
        routes.MapGet("/count", context => context.Response.WriteAsync($"{Interlocked.Increment(ref s_count)}"));
        routes.MapGet("/hello", context => context.Response.WriteAsync("Hello"));
        routes.MapPost("/length", async context =>
        {
            using var reader = new StreamReader(context.Request.Body);
            await context.Response.WriteAsync($"{(await reader.ReadToEndAsync()).Length}");
        });
        routes.MapGet("/stop", context =>
        {
            context.RequestServices.GetRequiredService<IHostApplicationLifetime>().StopApplication();
            return Task.CompletedTask;
        });
        routes.MapGet("/until-stopping", async context =>
        {
            var stopping = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            context.RequestServices.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping.Register(stopping.SetResult);
            await context.Response.WriteAsync("begun ");
            await context.Response.Body.FlushAsync();
            await stopping.Task;
            await context.Response.WriteAsync("ended");
        });
        routes.MapGet("/for-ever", async context =>
        {
            await context.Response.WriteAsync("begun ");
            await context.Response.Body.FlushAsync();
            await Task.Delay(Timeout.Infinite, CancellationToken.None);
        });
    }

    private static ICollection<string>? Addresses(IServiceProvider services) =>
        services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()?.Addresses;

    private static Dictionary<string, object?> Around(IServiceProvider services)
    {
        var environment = services.GetRequiredService<IWebHostEnvironment>();
        var entry = Assembly.GetEntryAssembly();
        var configuration = services.GetRequiredService<IConfiguration>();
        return new()
        {
            ["application"] = environment.ApplicationName,
            ["environment"] = environment.EnvironmentName,
            ["content root"] = environment.ContentRootPath,
            ["web root"] = environment.WebRootPath,
            ["base directory"] = AppContext.BaseDirectory,
            ["target framework"] = AppContext.TargetFrameworkName,
            ["friendly name"] = AppDomain.CurrentDomain.FriendlyName,
            ["setup base"] = AppDomain.CurrentDomain.SetupInformation.ApplicationBase,
            ["entry assembly"] = entry?.FullName,
            ["entry location"] = entry?.Location,
            ["is default context"] = AssemblyLoadContext.GetLoadContext(typeof(Routes).Assembly) == AssemblyLoadContext.Default,
            ["by name"] = Type.GetType("Takeover.Routes, Takeover") == typeof(Routes),
            ["command line"] = Environment.GetCommandLineArgs(),
            ["current directory"] = Environment.CurrentDirectory,
            ["server gc"] = GCSettings.IsServerGC,
            ["invariant"] = AppContext.TryGetSwitch("System.Globalization.Invariant", out var invariant) && invariant,
            ["hosting startup"] = Environment.GetEnvironmentVariable("ASPNETCORE_HOSTINGSTARTUPASSEMBLIES"),
            ["from the file"] = configuration["Takeover:File"],
            ["from a variable"] = configuration["TAKEOVER_SETTING"],
            ["before Main"] = Settings.BeforeMain,
            ["from the arguments"] = configuration["setting"],
            ["exit code"] = Environment.ExitCode,
            ["server"] = services.GetRequiredService<IServer>().GetType().FullName,
            ["lifetime"] = services.GetService<IHostLifetime>()?.GetType().FullName,
            ["addresses"] = Addresses(services),
        };
    }
}

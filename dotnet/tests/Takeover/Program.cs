// An ordinary application that builds its host in one of several ways and tells what it finds around it. The tests
// (hosts/cli/tests/serve.rs) run it under `dotnet` and under `polyhost serve` and compare.

using Microsoft.AspNetCore;
using Microsoft.Extensions.Hosting.Systemd;
using Takeover;

Misdeeds.Before();
switch (Settings.Way)
{
    case "create":
        Run(WebApplication.CreateBuilder(args));
        break;
    case "slim":
        Run(WebApplication.CreateSlimBuilder(args));
        break;
    case "empty":
        var empty = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { Args = args });
        empty.WebHost.UseKestrelCore();
        empty.Services.AddRoutingCore();
        Run(empty);
        break;
    case "controllers":
        var controllers = WebApplication.CreateBuilder(args);
        controllers.Services.AddControllers();
        var application = Build(controllers);
        application.MapControllerRoute("default", "{controller=Home}/{action=Index}/{id?}");
        application.Run();
        break;
    case "generic":
        Host.CreateDefaultBuilder(args).ConfigureWebHostDefaults(Legacy).Build().Run();
        break;
    case "legacy":
        var configuration = new ConfigurationBuilder().AddEnvironmentVariables("ASPNETCORE_").AddCommandLine(args).Build();
        var host = new WebHostBuilder().UseKestrel().UseContentRoot(Directory.GetCurrentDirectory()).UseConfiguration(configuration);
        Legacy(host);
        host.Build().Run();
        break;
    case "default":
        var older = WebHost.CreateDefaultBuilder(args);
        Legacy(older);
        older.Build().Run();
        break;
    case "async":
        // What a Main that awaits does: it goes on, and ends, on another thread.
        await Task.Yield();
        var asynchronous = Build(WebApplication.CreateBuilder(args));
        await asynchronous.StartAsync();
        await asynchronous.WaitForShutdownAsync();
        break;
    case "none":
        break;
    case "worker":
        Host.CreateDefaultBuilder(args).Build().Run();
        break;
    case "both":
        var web = Build(WebApplication.CreateBuilder(args));
        using (var worker = Host.CreateDefaultBuilder(args).Build())
        {
            worker.Start();
            web.Run();
        }
        break;
    case var other:
        throw new ArgumentException($"no such way: {other}");
}

return Misdeeds.After();

static void Run(WebApplicationBuilder builder) => Build(builder).Run();

static WebApplication Build(WebApplicationBuilder builder)
{
    if (Settings.Get("DEED") == "systemd")
    {
        builder.Host.UseSystemd();
    }
    builder.WebHost.ConfigureKestrel(Settings.Configure);
    var app = builder.Build();
    app.UseStaticFiles();
    app.UseRouting();
    Routes.Map(app);
    Misdeeds.At(app.Lifetime);
    return app;
}

static void Legacy(IWebHostBuilder builder) => builder
    .ConfigureKestrel(Settings.Configure)
    .ConfigureServices(services => services.AddRouting())
    .Configure(app =>
    {
        app.UseRouting();
        app.UseEndpoints(Routes.Map);
        Misdeeds.At(app.ApplicationServices.GetRequiredService<IHostApplicationLifetime>());
    });

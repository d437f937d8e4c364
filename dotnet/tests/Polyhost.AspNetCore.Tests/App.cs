using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Polyhost.AspNetCore.Tests;

/// <summary>A real application over the server under test.</summary>
internal sealed class App : IAsyncDisposable
{
    private static int s_ids;

    private readonly WebApplication _application;

    private App(WebApplication application, AppRegistration registration)
    {
        _application = application;
        Registration = registration;
    }

    internal AppRegistration Registration { get; }

    internal uint Id => Registration.Id;

    internal WebApplication Application => _application;

    /// <summary>One that answers every request in one way.</summary>
    internal static Task<App> Run(RequestDelegate handler, Action<ServerOptions>? options = null) =>
        Start(application => application.Run(handler), options);

    internal static async Task<App> Start(
        Action<WebApplication> configure, Action<ServerOptions>? options = null, ILoggerProvider? log = null)
    {
        FakeHost.Install();
        var registration = new AppRegistration((uint)Interlocked.Increment(ref s_ids));
        options?.Invoke(registration.Options);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        if (log is not null)
        {
            builder.Logging.AddProvider(log);
        }
        builder.Services.AddSingleton(registration);
        builder.Services.AddSingleton<IServer, HostServer>();
        var application = builder.Build();
        configure(application);
        await application.StartAsync();
        return new App(application, registration);
    }

    internal FakeConnection Connect() => new(Id);

    public ValueTask DisposeAsync() => _application.DisposeAsync();
}

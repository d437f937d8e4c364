using System.Diagnostics;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

[assembly: HostingStartup(typeof(Polyhost.AspNetCore.LegacyTakeover))]

namespace Polyhost.AspNetCore;

/// <summary>
/// Puts our server in the place of Kestrel. The host says that it is being built by a diagnostic event, meant for tools
/// that need the services of an application they did not write (dotnet/runtime#53757); what is registered then comes
/// after the application's own, so it is what the host takes.
/// </summary>
internal sealed class Takeover : IObserver<DiagnosticListener>, IObserver<KeyValuePair<string, object?>>
{
    private Takeover()
    {
    }

    internal static void Install() => DiagnosticListener.AllListeners.Subscribe(new Takeover());

    void IObserver<DiagnosticListener>.OnNext(DiagnosticListener listener)
    {
        if (listener.Name == "Microsoft.Extensions.Hosting")
        {
            listener.Subscribe(this, static (name, _, _) => name == "HostBuilding");
        }
    }

    void IObserver<KeyValuePair<string, object?>>.OnNext(KeyValuePair<string, object?> occurrence)
    {
        // A host that somebody else in this process builds stays as it is.
        if (occurrence is { Key: "HostBuilding", Value: IHostBuilder builder } && Application.Current is { } application)
        {
            builder.ConfigureServices((_, services) =>
            {
                application.HasWebHost |= IsOfWebHost(services);
                Register(services, application);
                var notifier = SystemdNotifier.In(services);
                // The console's would take the process's signals, which are the host's.
                services.RemoveAll<IHostLifetime>();
                services.AddSingleton<IHostLifetime>(provider => ActivatorUtilities.CreateInstance<HostLifetime>(provider, application, notifier));
            });
        }
    }

    /// <summary>Whether a host of these services starts a server.</summary>
    private static bool IsOfWebHost(IServiceCollection services) => services.Any(static service =>
        service.ServiceType == typeof(IServer)
        || (service.ServiceType == typeof(IHostedService) && service is { IsKeyedService: false, ImplementationType.Name: "GenericWebHostService" }));

    void IObserver<DiagnosticListener>.OnCompleted()
    {
    }

    void IObserver<DiagnosticListener>.OnError(Exception error)
    {
    }

    void IObserver<KeyValuePair<string, object?>>.OnCompleted()
    {
    }

    void IObserver<KeyValuePair<string, object?>>.OnError(Exception error)
    {
    }

    /// <summary>Has the host make our server. It stays unmade in a host without a web application.</summary>
    internal static void Register(IServiceCollection services, Application application) =>
        services.AddSingleton<IServer>(provider =>
        {
            application.HasServer = true;
            var registration = new AppRegistration(application.Id) { Routes = () => InlineRoutes.Of(provider) };
            KestrelSettings.Read(provider, registration.Options);
            application.Attach(provider.GetRequiredService<IHostApplicationLifetime>());
            return new HostServer(registration, provider.GetService<ILoggerFactory>());
        });
}

/// <summary>For the legacy <c>new WebHostBuilder()</c>, which fires no event. Named by a variable; see
/// <see cref="ProcessWide"/>.</summary>
internal sealed class LegacyTakeover : IHostingStartup
{
    public void Configure(IWebHostBuilder builder)
    {
        if (Application.Current is { } application)
        {
            application.HasWebHost = true;
            builder.ConfigureServices(services => Takeover.Register(services, application));
        }
    }
}

/// <summary>
/// Waits for nothing and ends with nothing: the application stops when it is told to. It says what the console's says,
/// which people and scripts look for, and what systemd's would.
/// </summary>
internal sealed class HostLifetime(
    Application owner,
    SystemdNotifier notifier,
    IServiceProvider services,
    IHostEnvironment environment,
    IHostApplicationLifetime application,
    IOptions<ConsoleLifetimeOptions> options,
    ILoggerFactory loggers) : IHostLifetime
{
    private readonly ILogger _log = loggers.CreateLogger("Microsoft.Hosting.Lifetime");

    public Task WaitForStartAsync(CancellationToken cancellationToken)
    {
        if (!options.Value.SuppressStatusMessages)
        {
            application.ApplicationStarted.Register(SayStarted);
            application.ApplicationStopping.Register(() => _log.LogInformation("Application is shutting down..."));
        }
        if (!owner.HasWebHost)
        {
            application.ApplicationStarted.Register(owner.StartedWithoutServer);
        }
        notifier.Watch(application, services);
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    private void SayStarted()
    {
        _log.LogInformation("Application started. Press Ctrl+C to shut down.");
        _log.LogInformation("Hosting environment: {EnvName}", environment.EnvironmentName);
        _log.LogInformation("Content root path: {ContentRoot}", environment.ContentRootPath);
    }
}

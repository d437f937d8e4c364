using System.Reflection;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Polyhost.AspNetCore;

/// <summary>
/// What <c>UseSystemd()</c> does in the lifetime that is replaced: it tells the service manager that the application has
/// started, and that it stops. The package is the application's, so it is known by name.
/// </summary>
internal sealed class SystemdNotifier(Type? type)
{
    private const string Namespace = "Microsoft.Extensions.Hosting.Systemd";

    internal static SystemdNotifier In(IServiceCollection services) =>
        new(services.LastOrDefault(static service => service.ServiceType.FullName == $"{Namespace}.ISystemdNotifier")?.ServiceType);

    internal void Watch(IHostApplicationLifetime application, IServiceProvider services)
    {
        if (type?.Assembly.GetType($"{Namespace}.ServiceState") is not { } states
            || type.GetMethod("Notify", [states]) is not { } notify
            || services.GetService(type) is not { } notifier)
        {
            return;
        }
        application.ApplicationStarted.Register(() => Say("Ready"));
        application.ApplicationStopping.Register(() => Say("Stopping"));

        void Say(string state) =>
            notify.Invoke(notifier, BindingFlags.DoNotWrapExceptions, null, [states.GetField(state)?.GetValue(null)], null);
    }
}

using System.Net.Sockets;
using System.Text;

// The package Microsoft.Extensions.Hosting.Systemd, as far as an application and its host see it: these tests do without
// packages.
namespace Microsoft.Extensions.Hosting.Systemd;

public interface ISystemdNotifier
{
    void Notify(ServiceState state);
}

public struct ServiceState(string state)
{
    public static readonly ServiceState Ready = new("READY=1");
    public static readonly ServiceState Stopping = new("STOPPING=1");

    private readonly byte[] _data = Encoding.UTF8.GetBytes(state);

    public readonly byte[] GetData() => _data;
}

internal sealed class SystemdNotifier : ISystemdNotifier
{
    public void Notify(ServiceState state)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(Environment.GetEnvironmentVariable("NOTIFY_SOCKET")!));
        socket.Send(state.GetData());
    }
}

internal sealed class SystemdLifetime(IHostApplicationLifetime application, ISystemdNotifier notifier) : IHostLifetime
{
    public Task WaitForStartAsync(CancellationToken cancellationToken)
    {
        application.ApplicationStarted.Register(() => notifier.Notify(ServiceState.Ready));
        application.ApplicationStopping.Register(() => notifier.Notify(ServiceState.Stopping));
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}

internal static class SystemdHostBuilderExtensions
{
    internal static IHostBuilder UseSystemd(this IHostBuilder builder) => builder.ConfigureServices(services => services
        .AddSingleton<ISystemdNotifier, SystemdNotifier>()
        .AddSingleton<IHostLifetime, SystemdLifetime>());
}

using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http.Features;

namespace Polyhost.AspNetCore;

/// <summary>The server of one application.</summary>
internal sealed class HostServer(AppRegistration app) : IServer
{
    public IFeatureCollection Features { get; } = new FeatureCollection();

    internal AppRegistration App { get; } = app;

    public Task StartAsync<TContext>(IHttpApplication<TContext> application, CancellationToken cancellationToken)
        where TContext : notnull
    {
        App.Server = this;
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        App.Server = null;
        return Task.CompletedTask;
    }

    public void Dispose()
    {
    }
}

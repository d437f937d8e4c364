using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Abstractions;

namespace Polyhost.AspNetCore;

/// <summary>The context that runs an application of a certain kind.</summary>
/// <remarks>Hosting keeps its own context in <see cref="IHostContextContainer{TContext}"/>, and so makes one for each
/// of these, not for each request.</remarks>
internal sealed class RequestContext<TContext>(
    HostServer server, IHttpApplication<TContext> application, ConnectionMemory memory)
    : RequestContext(server, memory), IHostContextContainer<TContext>
    where TContext : notnull
{
    private TContext? _context;

    TContext? IHostContextContainer<TContext>.HostContext { get; set; }

    protected override void CreateHostContext() => _context = application.CreateContext(this);

    protected override Task ProcessAsync() => application.ProcessRequestAsync(_context!);

    protected override void DisposeHostContext(Exception? exception)
    {
        var context = _context!;
        _context = default;
        application.DisposeContext(context, exception);
    }
}

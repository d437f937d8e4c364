using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;

namespace PipelineFloor;

/// <summary>
/// A server without a socket: for each line "run N" of standard input it makes N requests, one after the other on one
/// thread, and answers the line. The process ends with its input.
/// </summary>
internal sealed class LoopServer : IServer
{
    private const string Question = "run ";

    public LoopServer() => Features.Set<IServerAddressesFeature>(new ServerAddressesFeature());

    public IFeatureCollection Features { get; } = new FeatureCollection();

    public Task StartAsync<TContext>(IHttpApplication<TContext> application, CancellationToken cancellationToken)
        where TContext : notnull
    {
        new Thread(() => Answer(application)) { Name = "requests" }.Start();
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose()
    {
    }

    private static void Answer<TContext>(IHttpApplication<TContext> application)
        where TContext : notnull
    {
        var code = 0;
        try
        {
            var request = new LoopRequest<TContext>();
            while (Console.In.ReadLine() is { } line)
            {
                Run(application, request, int.Parse(line.AsSpan(Question.Length)));
                Console.Out.WriteLine(line);
            }
        }
        catch (Exception e)
        {
            Console.Error.WriteLine($"PipelineFloor: {e.Message}");
            code = 1;
        }
        Environment.Exit(code);
    }

    private static void Run<TContext>(IHttpApplication<TContext> application, LoopRequest<TContext> request, int times)
        where TContext : notnull
    {
        for (var i = 0; i < times; i++)
        {
            request.Reset();
            var context = application.CreateContext(request);
            var work = application.ProcessRequestAsync(context);
            if (!work.IsCompletedSuccessfully)
            {
                throw work.Exception?.InnerException
                    ?? new InvalidOperationException("the endpoint waits for something, so that it has no floor");
            }
            application.DisposeContext(context, null);
            request.Check();
        }
    }
}

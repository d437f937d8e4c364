using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Xunit;

namespace Polyhost.AspNetCore.Tests;

public sealed class ServerTests
{
    [Fact]
    public async Task ARequestOutlivesItsConnection()
    {
        var go = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var app = await App.Run(async context =>
        {
            if (context.Request.Path == "/wait")
            {
                await go.Task;
            }
            await context.Response.WriteAsync(context.Request.Path.Value!);
        });
        FakeExchange waiting;
        using (var connection = app.Connect())
        {
            waiting = connection.Get("/wait");
        }
        using var other = app.Connect();
        Assert.Equal("/other", other.Get("/other").Body);
        Assert.NotEqual(waiting.Context, other.Get("/other").Context);
        go.SetResult();
        await waiting.Released;
        Assert.Equal("/wait", waiting.Body);
    }

    [Fact]
    public async Task AContextThatIsKeptIsNotTheNextClients()
    {
        HttpContext? kept = null;
        await using var app = await App.Run(context =>
        {
            kept ??= context;
            return Task.CompletedTask;
        });
        using (var connection = app.Connect())
        {
            connection.Get("/first");
        }
        using var next = app.Connect();
        next.Get("/second");
        Assert.Throws<ObjectDisposedException>(() => kept!.Request.Path);
        Assert.NotNull(kept);
    }

    [Fact]
    public async Task StopWaitsForWhatRuns()
    {
        var go = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var app = await App.Run(_ => go.Task);
        using var connection = app.Connect();
        var exchange = connection.Get("/");
        var stop = app.Application.StopAsync(TestContext.Current.CancellationToken);
        Assert.False(stop.IsCompleted);
        Assert.Equal(503, app.Connect().Get("/").Status);
        go.SetResult();
        await stop;
        Assert.True(exchange.IsEnded);
    }

    [Fact]
    public async Task StopCutsOffWhatDoesNotEnd()
    {
        var canceled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var app = await App.Run(async context =>
        {
            context.RequestAborted.Register(canceled.SetResult);
            await canceled.Task;
        });
        using var connection = app.Connect();
        var exchange = connection.Get("/");
        await app.Application.StopAsync(new CancellationToken(canceled: true));
        await exchange.Released;
        Assert.True(exchange.IsAborted);
    }

    [Fact]
    public async Task KestrelsLimitsOnSlowClientsAreThere()
    {
        await using var app = await App.Run(context =>
        {
            var rate = context.Features.Get<IHttpMinRequestBodyDataRateFeature>()!;
            Assert.Equal(240, rate.MinDataRate!.BytesPerSecond);
            rate.MinDataRate = null;
            Assert.Null(context.Features.Get<IHttpMinRequestBodyDataRateFeature>()!.MinDataRate);
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        Assert.Equal(200, connection.Get("/").Status);
        Assert.Equal(200, connection.Get("/").Status);
    }

    [Fact]
    public async Task RequestsOfManyConnectionsDoNotMix()
    {
        await using var app = await App.Run(async context =>
        {
            var name = context.Request.Headers["X-Name"].ToString();
            var body = context.Request.Body;
            if (name.EndsWith('3'))
            {
                await Task.Yield();
            }
            using var reader = new StreamReader(body);
            var text = await reader.ReadToEndAsync(CancellationToken.None);
            await context.Response.WriteAsync($"{context.Request.Path}|{name}|");
            await context.Response.WriteAsync(text);
        });
        await Task.WhenAll(Enumerable.Range(0, 8).Select(number => Task.Run(() => Client(app, number))));
        Assert.Equal(0, FakeExchange.LiveChunksOf(app.Id));
    }

    private static async Task Client(App app, int client)
    {
        using var connection = app.Connect();
        for (var i = 0; i < 500; i++)
        {
            var name = $"{client}-{i}";
            var exchange = new FakeExchange { App = app.Id };
            exchange.Receive(BodyRead.Data, "body of ");
            exchange.Receive(BodyRead.Data, name);
            exchange.Receive(BodyRead.End);
            var flags = RequestFlags.HasBody | (i % 2 == 0 ? RequestFlags.Inline : RequestFlags.None);
            connection.Begin("POST", $"/{name}", flags, [("X-Name", name)], exchange);
            await exchange.Released;
            Assert.Equal($"/{name}|{name}|body of {name}", exchange.Body);
        }
    }
}

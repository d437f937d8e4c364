using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.Logging;
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
    public async Task AStreamThatIsKeptIsNotTheNextClients()
    {
        var kept = new List<Stream>();
        var files = new List<IHttpResponseBodyFeature>();
        await using var app = await App.Run(async context =>
        {
            if (context.Request.Path == "/upgrade")
            {
                kept.Add(await context.Features.Get<IHttpUpgradeFeature>()!.UpgradeAsync());
                return;
            }
            await KeptWrites();
            files.Add(context.Features.Get<IHttpResponseBodyFeature>()!);
            kept.Add(context.Response.Body);
            await context.Response.WriteAsync("mine");
        });
        var upgrade = RequestFlags.Inline | RequestFlags.Upgrade;
        using (var connection = app.Connect())
        {
            Assert.Equal(101, connection.Begin("GET", "/upgrade", upgrade, [("Upgrade", "own")]).Status);
        }
        for (var i = 0; i < 2; i++)
        {
            using var next = app.Connect();
            var answer = next.Get("/");
            await answer.Released;
            Assert.Equal((200, "mine"), (answer.Status, answer.Body));
        }
        await KeptWrites();

        async Task KeptWrites()
        {
            foreach (var stream in kept)
            {
                await Assert.ThrowsAsync<ObjectDisposedException>(
                    () => stream.WriteAsync("late"u8.ToArray(), CancellationToken.None).AsTask());
            }
            foreach (var file in files)
            {
                await Assert.ThrowsAsync<ObjectDisposedException>(
                    () => file.SendFileAsync(typeof(ServerTests).Assembly.Location, 0, 9, CancellationToken.None));
            }
        }
    }

    [Fact]
    public async Task AReadThatGoesOnAsTheRequestEndsDoesNoHarm()
    {
        await using var app = await App.Run(context =>
        {
            _ = context.Request.Body.CopyToAsync(Stream.Null);
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        for (var i = 0; i < 2000; i++)
        {
            var exchange = new FakeExchange { App = app.Id };
            connection.Post("/", RequestFlags.None, exchange);
            await exchange.ReadPending;
            exchange.Receive(BodyRead.Data, "late");
            exchange.TellBodyReady();
            await exchange.Released;
        }
    }

    [Fact]
    public async Task ALogThatFailsEndsNoRequest()
    {
        await using var app = await App.Start(
            application => application.Run(_ => throw new InvalidOperationException("expected")), log: new FailingLog());
        using var connection = app.Connect();
        foreach (var flags in new[] { RequestFlags.Inline, RequestFlags.None })
        {
            var exchange = connection.Begin("GET", "/", flags, []);
            await exchange.Released;
            Assert.Equal(500, exchange.Status);
        }
        Assert.Equal((int)LogLevel.Error, LogLevels.Error);
    }

    [Fact]
    public async Task AChoiceOfEncodingsThatFailsEndsTheConnectionAlone()
    {
        await using var app = await App.Run(
            _ => Task.CompletedTask,
            options => options.RequestHeaderEncoding = _ => throw new InvalidOperationException("expected"));
        foreach (var flags in new[] { RequestFlags.Inline, RequestFlags.None })
        {
            using var connection = app.Connect();
            var exchange = connection.Begin("GET", "/", flags, [("X", "1")]);
            await exchange.Released;
            Assert.True(exchange.IsAborted);
        }
    }

    [Fact]
    public async Task ConnectionsAreAskedToEndWhenTheServerStops()
    {
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var app = await App.Run(async context =>
        {
            var closing = context.Features.Get<IConnectionLifetimeNotificationFeature>()!.ConnectionClosedRequested;
            closing.Register(asked.SetResult);
            await asked.Task;
        });
        using var connection = app.Connect();
        var exchange = connection.Get("/");
        await app.Application.StopAsync(TestContext.Current.CancellationToken);
        Assert.True(exchange.IsEnded);
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
            rate.MinDataRate = new MinDataRate(1, TimeSpan.MaxValue);
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

    /// <summary>A provider that fails for our category, as one whose disk is full does for all.</summary>
    private sealed class FailingLog : ILoggerProvider, ILogger
    {
        private bool _isOurs;

        public ILogger CreateLogger(string categoryName) =>
            new FailingLog { _isOurs = categoryName.StartsWith("Polyhost") };

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => _isOurs;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter) => throw new IOException("the disk is full");

        public void Dispose()
        {
        }
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

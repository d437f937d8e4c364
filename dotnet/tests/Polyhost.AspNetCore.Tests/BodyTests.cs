using System.Buffers;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Xunit;

namespace Polyhost.AspNetCore.Tests;

public sealed class BodyTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task ABodyThatIsThereIsReadAtOnce(bool isInline)
    {
        await using var app = await App.Run(Echo);
        using var connection = app.Connect();
        var exchange = Bodied("hello ", "world");
        connection.Post("/", isInline ? RequestFlags.Inline : RequestFlags.None, exchange);
        await exchange.Released;
        Assert.Equal("hello world", exchange.Body);
    }

    [Fact]
    public async Task ABodyThatComesLaterIsWaitedFor()
    {
        await using var app = await App.Run(Echo);
        using var connection = app.Connect();
        var exchange = new FakeExchange();
        exchange.Receive(BodyRead.Data, "now ");
        connection.Post("/", RequestFlags.Inline, exchange);
        await exchange.ReadPending;
        exchange.TellBodyReady();
        exchange.Receive(BodyRead.Data, "later");
        exchange.Receive(BodyRead.End);
        exchange.TellBodyReady();
        exchange.TellBodyReady();
        await exchange.Released;
        Assert.Equal("now later", exchange.Body);
    }

    [Fact]
    public async Task AReadThatIsNotAwaitedDoesNoHarm()
    {
        Exception? thrown = null;
        await using var app = await App.Run(async context =>
        {
            if (context.Request.Path == "/careless")
            {
                var read = context.Request.BodyReader.ReadAsync(CancellationToken.None);
                thrown = Record.Exception(() => read.GetAwaiter().GetResult());
                return;
            }
            await Echo(context);
        });
        using var connection = app.Connect();
        var careless = new FakeExchange();
        connection.Post("/careless", RequestFlags.Inline, careless);
        await careless.Released;
        careless.TellBodyReady();
        var exchange = Bodied("still ", "right");
        connection.Post("/", RequestFlags.Inline, exchange);
        await exchange.Released;
        Assert.IsType<InvalidOperationException>(thrown);
        Assert.Equal("still right", exchange.Body);
    }

    [Fact]
    public async Task AResultThatIsTakenTooEarlyDoesNoHarm()
    {
        var waits = new TaskCompletionSource();
        await using var app = await App.Run(async context =>
        {
            var read = context.Request.Body.ReadAsync(new byte[10], CancellationToken.None);
            var taken = Task.Run(() => read.GetAwaiter().GetResult(), CancellationToken.None);
            waits.SetResult();
            Assert.Equal(4, await taken);
        });
        using var connection = app.Connect();
        var exchange = new FakeExchange();
        connection.Post("/", RequestFlags.None, exchange);
        await waits.Task;
        exchange.Receive(BodyRead.Data, "late");
        exchange.TellBodyReady();
        await exchange.Released;
        Assert.Equal(200, exchange.Status);
    }

    [Fact]
    public async Task TheReaderKeepsWhatWasNotConsumed()
    {
        var seen = new List<string>();
        await using var app = await App.Run(async context =>
        {
            var reader = context.Request.BodyReader;
            // A part of the first chunk consumed, all of it examined: the next read brings the second as well.
            var result = await reader.ReadAsync(CancellationToken.None);
            Note(result.Buffer);
            reader.AdvanceTo(result.Buffer.GetPosition(2), result.Buffer.End);
            result = await reader.ReadAsync(CancellationToken.None);
            Note(result.Buffer);
            // Not all examined: the same again, without asking.
            reader.AdvanceTo(result.Buffer.GetPosition(3), result.Buffer.GetPosition(4));
            Assert.True(reader.TryRead(out result));
            Note(result.Buffer);
            Assert.Throws<InvalidOperationException>(() => reader.TryRead(out _));
            reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
            result = await reader.ReadAsync(CancellationToken.None);
            Assert.True(result.IsCompleted);
            Note(result.Buffer);
            reader.AdvanceTo(result.Buffer.End);
            result = await reader.ReadAsync(CancellationToken.None);
            Assert.True(result.IsCompleted && result.Buffer.IsEmpty);
            reader.AdvanceTo(result.Buffer.End);
        });
        using var connection = app.Connect();
        var exchange = Bodied("abcd", "efgh");
        connection.Post("/", RequestFlags.None, exchange);
        await exchange.Released;
        Assert.Equal(["abcd", "cdefgh", "fgh", "fgh"], seen);
        Assert.Equal(200, exchange.Status);

        void Note(ReadOnlySequence<byte> buffer) => seen.Add(Encoding.ASCII.GetString(buffer.ToArray()));
    }

    [Fact]
    public async Task APositionOfAnotherBufferIsRefusedAndNothingLost()
    {
        var rest = "";
        await using var app = await App.Run(async context =>
        {
            var reader = context.Request.BodyReader;
            var result = await reader.ReadAsync(CancellationToken.None);
            var other = new ReadOnlySequence<byte>("other"u8.ToArray()).End;
            Assert.Throws<ArgumentOutOfRangeException>(() => reader.AdvanceTo(other));
            reader.AdvanceTo(result.Buffer.GetPosition(1));
            rest = await new StreamReader(context.Request.Body).ReadToEndAsync(CancellationToken.None);
        });
        using var connection = app.Connect();
        var exchange = Bodied("abcd", "efgh");
        connection.Post("/", RequestFlags.None, exchange);
        await exchange.Released;
        Assert.Equal("bcdefgh", rest);
    }

    [Fact]
    public async Task WhatIsNotReadIsGivenBack()
    {
        ReadOnlyMemory<byte> kept = default;
        await using var app = await App.Run(async context =>
        {
            var result = await context.Request.BodyReader.ReadAsync(CancellationToken.None);
            kept = result.Buffer.First;
        });
        using var connection = app.Connect();
        var exchange = Bodied("left");
        connection.Post("/", RequestFlags.None, exchange);
        await exchange.Released;
        // The memory is the host's again; what was kept of it does not reach it.
        Assert.ThrowsAny<ArgumentException>(() => kept.Span.Length);
    }

    [Theory]
    [InlineData("TooLarge", 413)]
    [InlineData("Malformed", 400)]
    [InlineData("TrailersTooLarge", 431)]
    [InlineData("TimedOut", 408)]
    public async Task ABadBodyIsABadRequest(string failure, int status) => await Fail(Enum.Parse<BodyRead>(failure), status);

    [Fact]
    public async Task AClientThatGoesAwayIsAnIOException()
    {
        Exception? thrown = null;
        var canceled = new TaskCompletionSource();
        await using var app = await App.Run(async Task (HttpContext context) =>
        {
            context.RequestAborted.Register(canceled.SetResult);
            thrown = await Record.ExceptionAsync(
                async () => await context.Request.Body.ReadAsync(new byte[10], CancellationToken.None));
            // Nobody receives it, and nobody is told.
            await context.Response.WriteAsync("into the void", CancellationToken.None);
            await canceled.Task;
            Assert.True(context.RequestAborted.IsCancellationRequested);
        });
        using var connection = app.Connect();
        var exchange = new FakeExchange();
        connection.Post("/", RequestFlags.Inline, exchange);
        await exchange.ReadPending;
        exchange.Receive(BodyRead.Aborted);
        exchange.TellAborted();
        await exchange.Released;
        Assert.IsType<ConnectionResetException>(thrown);
        Assert.True(exchange.IsAborted);
    }

    [Fact]
    public async Task AnAbortOfOneRequestDoesNotReachTheNext()
    {
        var tokens = new List<CancellationToken>();
        await using var app = await App.Run(context =>
        {
            tokens.Add(context.RequestAborted);
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        var first = connection.Get("/");
        first.TellAborted();
        connection.Get("/");
        Assert.All(tokens, token => Assert.False(token.IsCancellationRequested));
    }

    [Fact]
    public async Task AnEndlessResponseEndsWithItsClient()
    {
        var writes = 0;
        await using var app = await App.Run(async context =>
        {
            while (!context.RequestAborted.IsCancellationRequested)
            {
                writes++;
                await context.Response.WriteAsync("data: x\n\n", CancellationToken.None);
                await Task.Yield();
            }
        });
        using var connection = app.Connect();
        var exchange = connection.Begin("GET", "/", RequestFlags.None, [], new FakeExchange { IsGone = true });
        await exchange.Released;
        Assert.True(writes > 0);
        Assert.True(exchange.IsAborted);
    }

    [Fact]
    public async Task AReadIsCanceledByItsToken()
    {
        using var source = new CancellationTokenSource();
        Exception? thrown = null;
        await using var app = await App.Run(async Task (HttpContext context) =>
            thrown = await Record.ExceptionAsync(async () => await context.Request.Body.ReadAsync(new byte[10], source.Token)));
        using var connection = app.Connect();
        var exchange = new FakeExchange();
        connection.Post("/", RequestFlags.Inline, exchange);
        await exchange.ReadPending;
        await source.CancelAsync();
        await exchange.Released;
        Assert.IsType<OperationCanceledException>(thrown, exactMatch: false);
    }

    [Fact]
    public async Task TheLimitIsReadOnlyOnceReadingHasBegun()
    {
        await using var app = await App.Run(async context =>
        {
            var limit = context.Features.Get<IHttpMaxRequestBodySizeFeature>()!;
            Assert.Equal(30_000_000, limit.MaxRequestBodySize);
            limit.MaxRequestBodySize = 77;
            await context.Request.Body.ReadAsync(new byte[1], CancellationToken.None);
            Assert.True(limit.IsReadOnly);
            Assert.Throws<InvalidOperationException>(() => limit.MaxRequestBodySize = 78);
        });
        using var connection = app.Connect();
        var exchange = Bodied("x");
        connection.Post("/", RequestFlags.Inline, exchange);
        await exchange.Released;
        Assert.Equal((77, 200), (exchange.MaxBody, exchange.Status));
    }

    [Fact]
    public async Task TrailersAreThereAfterTheBody()
    {
        var packed = new byte[100];
        var length = PackedHeaders.Write(packed, "X-Sum", "42", Encoding.UTF8);
        await using var app = await App.Run(async context =>
        {
            Assert.False(context.Request.CheckTrailersAvailable());
            Assert.Throws<InvalidOperationException>(() => context.Request.GetTrailer("X-Sum"));
            await context.Request.Body.CopyToAsync(Stream.Null);
            Assert.Equal("42", context.Request.GetTrailer("X-Sum"));
        });
        using var connection = app.Connect();
        var exchange = Bodied("x");
        exchange.Trailers = packed[..length];
        connection.Post("/", RequestFlags.Inline, exchange);
        await exchange.Released;
        Assert.Equal(200, exchange.Status);
    }

    [Fact]
    public async Task ThereIsNoReadToCancelWithoutABody()
    {
        await using var app = await App.Run(async context =>
        {
            context.Request.BodyReader.CancelPendingRead();
            var result = await context.Request.BodyReader.ReadAsync();
            Assert.False(result.IsCanceled);
            Assert.True(result.IsCompleted);
        });
        using var connection = app.Connect();
        Assert.Equal(200, connection.Get("/").Status);
    }

    [Fact]
    public async Task AnUpgradedConnectionIsBytesBothWays()
    {
        Exception? thrown = null;
        await using var app = await App.Run(async context =>
        {
            var upgrade = context.Features.Get<IHttpUpgradeFeature>()!;
            Assert.True(upgrade.IsUpgradableRequest);
            Assert.Equal(0, await context.Request.Body.ReadAsync(new byte[1], CancellationToken.None));
            var stream = await upgrade.UpgradeAsync();
            thrown = await Record.ExceptionAsync(() => context.Response.WriteAsync("x", CancellationToken.None));
            Assert.Equal(0, await context.Request.Body.ReadAsync(new byte[1], CancellationToken.None));
            var buffer = new byte[100];
            for (int read; (read = await stream.ReadAsync(buffer, CancellationToken.None)) > 0;)
            {
                await stream.WriteAsync(buffer.AsMemory(0, read), CancellationToken.None);
            }
        });
        using var connection = app.Connect();
        var exchange = new FakeExchange();
        connection.Begin("GET", "/", RequestFlags.Inline | RequestFlags.Upgrade, [("Upgrade", "own")], exchange);
        await exchange.ReadPending;
        Assert.True(exchange.IsUpgraded);
        Assert.Equal(101, exchange.Status);
        Assert.Equal([("Connection", "Upgrade")], exchange.Headers);
        exchange.Receive(BodyRead.Data, "ping");
        exchange.Receive(BodyRead.End);
        exchange.TellBodyReady();
        await exchange.Released;
        Assert.Equal("ping", exchange.Body);
        Assert.Equal("Cannot write to response body after connection has been upgraded.", thrown?.Message);
    }

    private static async Task Echo(HttpContext context) =>
        await context.Request.Body.CopyToAsync(context.Response.Body);

    private static async Task Fail(BodyRead failure, int status)
    {
        await using var app = await App.Run(Echo);
        using var connection = app.Connect();
        var exchange = new FakeExchange();
        exchange.Receive(failure);
        connection.Post("/", RequestFlags.Inline, exchange);
        await exchange.Released;
        Assert.Equal(status, exchange.Status);
        Assert.True(exchange.IsCloseRequested);
    }

    private static FakeExchange Bodied(params string[] chunks)
    {
        var exchange = new FakeExchange();
        foreach (var chunk in chunks)
        {
            exchange.Receive(BodyRead.Data, chunk);
        }
        exchange.Receive(BodyRead.End);
        return exchange;
    }
}

internal static class TrailerExtensions
{
    internal static bool CheckTrailersAvailable(this HttpRequest request) =>
        request.HttpContext.Features.Get<IHttpRequestTrailersFeature>()!.Available;
}

using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Xunit;

namespace Polyhost.AspNetCore.Tests;

public sealed class ResponseTests
{
    [Fact]
    public async Task APlainResponseIsOneCall()
    {
        await using var app = await App.Start(application => application.MapGet("/hello", () => "Hello, world!"));
        using var connection = app.Connect();
        for (var i = 0; i < 3; i++)
        {
            var answer = connection.Get("/hello");
            Assert.Equal(200, answer.Status);
            Assert.Equal("Hello, world!", answer.Body);
            Assert.Equal([("Content-Type", "text/plain; charset=utf-8")], answer.Headers);
            Assert.Equal([SendFlags.End | SendFlags.Release], answer.Sends);
            Assert.Equal(HeadFlags.Open, answer.HeadFlags);
        }
    }

    [Fact]
    public async Task APlainResponseOnThePoolEndsToo()
    {
        await using var app = await App.Run(context => context.Response.WriteAsync("pool"));
        using var connection = app.Connect();
        var answer = connection.Begin("GET", "/", RequestFlags.None, []);
        await answer.Released;
        Assert.Equal("pool", answer.Body);
        Assert.True(answer.IsEnded);
    }

    [Fact]
    public async Task AResponseWithoutBytesHasItsHeadWithTheEnd()
    {
        await using var app = await App.Run(context =>
        {
            context.Response.StatusCode = 404;
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        var answer = connection.Get("/");
        Assert.Equal(404, answer.Status);
        Assert.Equal(HeadFlags.None, answer.HeadFlags);
        Assert.Equal([SendFlags.End | SendFlags.Release], answer.Sends);
    }

    [Fact]
    public async Task WhatWasFlushedGoesOutBeforeTheApplicationIsAwaited()
    {
        var go = new TaskCompletionSource();
        await using var app = await App.Run(async context =>
        {
            await context.Response.WriteAsync("first ");
            await go.Task;
            await context.Response.WriteAsync("second");
        });
        using var connection = app.Connect();
        var answer = connection.Get("/");
        Assert.Equal("first ", answer.Body);
        Assert.False(answer.IsEnded);
        go.SetResult();
        await answer.Released;
        Assert.Equal("first second", answer.Body);
    }

    [Fact]
    public async Task BlocksOfTheHostTakeWhatTheOwnBufferCannot()
    {
        var large = new string('x', 100_000);
        await using var app = await App.Run(async context =>
        {
            await context.Response.WriteAsync("start ");
            await context.Response.WriteAsync(large);
            await context.Response.Body.WriteAsync(Encoding.ASCII.GetBytes(large));
            context.Response.BodyWriter.GetMemory(20_000).Span[..20_000].Fill((byte)'y');
            context.Response.BodyWriter.Advance(20_000);
        });
        using var connection = app.Connect();
        for (var i = 0; i < 2; i++)
        {
            var answer = connection.Get("/");
            await answer.Released;
            Assert.Equal("start " + large + large + new string('y', 20_000), answer.Body);
            Assert.True(answer.IsEnded);
        }
    }

    [Fact]
    public async Task TooManyBytesAreAnError()
    {
        Exception? thrown = null;
        await using var app = await App.Run(async context =>
        {
            context.Response.ContentLength = 5;
            thrown = await Record.ExceptionAsync(
                () => context.Response.Body.WriteAsync("sixsix"u8.ToArray(), CancellationToken.None).AsTask());
            throw thrown!;
        });
        using var connection = app.Connect();
        var answer = connection.Get("/");
        Assert.Equal("Response Content-Length mismatch: too many bytes written (6 of 5).", thrown?.Message);
        Assert.Equal(500, answer.Status);
        Assert.Equal("", answer.Body);
        Assert.True(answer.IsCloseRequested);
    }

    [Fact]
    public async Task TooFewBytesCutTheConnection()
    {
        await using var app = await App.Run(async context =>
        {
            context.Response.ContentLength = 50;
            await context.Response.WriteAsync("short");
        });
        using var connection = app.Connect();
        var answer = connection.Get("/");
        await answer.Released;
        Assert.Equal("short", answer.Body);
        Assert.True(answer.IsAborted);
        Assert.False(answer.IsEnded);
    }

    [Fact]
    public async Task AnErrorBeforeTheStartIsAnEmpty500()
    {
        await using var app = await App.Run(context =>
        {
            context.Response.Headers["X-Lost"] = "1";
            context.Response.BodyWriter.Write("lost"u8);
            throw new InvalidOperationException("expected");
        });
        using var connection = app.Connect();
        var answer = connection.Get("/");
        await answer.Released;
        Assert.Equal(500, answer.Status);
        Assert.Equal(0, answer.ContentLength);
        Assert.Equal("", answer.Body);
        Assert.Empty(answer.Headers);
    }

    [Fact]
    public async Task AnErrorAfterTheStartCutsTheConnection()
    {
        await using var app = await App.Run(async context =>
        {
            await context.Response.WriteAsync("begun");
            throw new InvalidOperationException("expected");
        });
        using var connection = app.Connect();
        var answer = connection.Get("/");
        await answer.Released;
        Assert.Equal("begun", answer.Body);
        Assert.True(answer.IsAborted);
        Assert.False(answer.IsEnded);
    }

    [Fact]
    public async Task ABadRequestHasItsStatus()
    {
        await using var app = await App.Run(_ => throw new BadHttpRequestException("too big", 413));
        using var connection = app.Connect();
        var answer = connection.Get("/");
        await answer.Released;
        Assert.Equal(413, answer.Status);
        Assert.True(answer.IsCloseRequested);
        Assert.True(answer.IsEnded);
    }

    [Fact]
    public async Task BytesToHeadAreCountedButNotSent()
    {
        await using var app = await App.Run(async context =>
        {
            context.Response.ContentLength = 5;
            await context.Response.WriteAsync("hello");
            await context.Response.Body.FlushAsync();
        });
        using var connection = app.Connect();
        var answer = connection.Begin("HEAD", "/", RequestFlags.Inline, []);
        Assert.Equal(200, answer.Status);
        Assert.Equal(5, answer.ContentLength);
        Assert.Equal("", answer.Body);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(99)]
    [InlineData(100)]
    [InlineData(101)]
    [InlineData(103)]
    [InlineData(1000)]
    public async Task WhatIsNoStatusOfAResponseIsAnError(int status)
    {
        await using var app = await App.Run(context =>
        {
            context.Response.StatusCode = status;
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        Assert.Equal(500, connection.Get("/").Status);
    }

    [Fact]
    public async Task ABodyWhereNoneMayBeIsRefused()
    {
        Exception? thrown = null;
        await using var app = await App.Run(async context =>
        {
            context.Response.StatusCode = 204;
            thrown = await Record.ExceptionAsync(() => context.Response.Body.WriteAsync("no"u8.ToArray(), CancellationToken.None).AsTask());
        });
        using var connection = app.Connect();
        var answer = connection.Get("/");
        await answer.Released;
        Assert.Equal("Writing to the response body is invalid for responses with status code 204.", thrown?.Message);
        Assert.Equal("", answer.Body);
    }

    [Fact]
    public async Task CallbacksRunLastInFirstOut()
    {
        var order = new List<string>();
        var completed = new TaskCompletionSource();
        await using var app = await App.Run(async context =>
        {
            foreach (var name in new[] { "a", "b" })
            {
                context.Response.OnStarting(() => Add($"starting {name}"));
                context.Response.OnCompleted(() => Add($"completed {name}"));
            }
            context.Response.OnStarting(async () =>
            {
                await Task.Yield();
                context.Response.Headers["X-Late"] = "yes";
            });
            await context.Response.WriteAsync("x");
            order.Add("written");
        });
        using var connection = app.Connect();
        var answer = connection.Get("/");
        await answer.Released;
        Assert.Equal(["starting b", "starting a", "written", "completed b", "completed a"], order);
        Assert.Equal([("X-Late", "yes")], answer.Headers);

        Task Add(string name)
        {
            order.Add(name);
            return Task.CompletedTask;
        }
    }

    [Fact]
    public async Task TheClientHasItsResponseBeforeCompletedCallbacksEnd()
    {
        var go = new TaskCompletionSource();
        await using var app = await App.Run(context =>
        {
            context.Response.OnCompleted(() => go.Task);
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        var answer = connection.Get("/");
        Assert.True(answer.IsEnded);
        Assert.False(answer.Released.IsCompleted);
        go.SetResult();
        await answer.Released;
    }

    [Fact]
    public async Task HeadersAreReadOnlyOnceTheResponseHasStarted()
    {
        var thrown = new List<string>();
        await using var app = await App.Run(async context =>
        {
            await context.Response.StartAsync();
            Assert.True(context.Response.HasStarted);
            Note(() => context.Response.Headers["X"] = "1");
            Note(() => context.Response.StatusCode = 500);
            Note(() => context.Response.OnStarting(() => Task.CompletedTask));

            void Note(Action action) => thrown.Add(Assert.Throws<InvalidOperationException>(action).Message);
        });
        using var connection = app.Connect();
        await connection.Get("/").Released;
        Assert.Equal(
            [
                "Headers are read-only, response has already started.",
                "StatusCode cannot be set because the response has already started.",
                "OnStarting cannot be set because the response has already started.",
            ],
            thrown);
    }

    [Fact]
    public async Task AFlushWaitsForASlowClient()
    {
        var flushed = new TaskCompletionSource();
        await using var app = await App.Run(async context =>
        {
            await context.Response.WriteAsync("slow");
            flushed.SetResult();
        });
        using var connection = app.Connect();
        var answer = connection.Begin("GET", "/", RequestFlags.None, [], new FakeExchange { IsSlow = true });
        await answer.FirstSend;
        answer.IsSlow = false;
        answer.TellWritable();
        await flushed.Task;
        await answer.Released;
        Assert.True(answer.IsEnded);
    }

    [Fact]
    public async Task AFlushIsCanceledWhetherItWaitsOrIsTheNext()
    {
        var waits = new TaskCompletionSource();
        var canceled = new List<bool>();
        PipeWriter? writer = null;
        await using var app = await App.Run(async context =>
        {
            writer = context.Response.BodyWriter;
            writer.CancelPendingFlush();
            canceled.Add((await writer.WriteAsync("first "u8.ToArray(), CancellationToken.None)).IsCanceled);
            var flush = writer.WriteAsync("second"u8.ToArray(), CancellationToken.None);
            waits.SetResult();
            canceled.Add((await flush).IsCanceled);
        });
        using var connection = app.Connect();
        var answer = connection.Begin("GET", "/", RequestFlags.None, [], new FakeExchange { IsSlow = true });
        await waits.Task;
        writer!.CancelPendingFlush();
        await answer.Released;
        Assert.Equal([true, true], canceled);
        Assert.Equal("first second", answer.Body);
    }

    [Fact]
    public async Task CompleteAsyncEndsTheResponseBeforeTheRequest()
    {
        var go = new TaskCompletionSource();
        Exception? thrown = null;
        await using var app = await App.Run(async context =>
        {
            await context.Response.WriteAsync("all");
            await context.Response.CompleteAsync();
            thrown = await Record.ExceptionAsync(() => context.Response.WriteAsync("more", CancellationToken.None));
            await go.Task;
        });
        using var connection = app.Connect();
        var answer = connection.Get("/");
        Assert.True(answer.IsEnded);
        Assert.False(answer.Released.IsCompleted);
        go.SetResult();
        await answer.Released;
        Assert.Equal("all", answer.Body);
        Assert.Equal("Writing is not allowed after writer was completed.", thrown?.Message);
    }

    [Fact]
    public async Task AFileIsSentByTheHost()
    {
        var path = Path.GetTempFileName();
        await File.WriteAllTextAsync(path, "0123456789", TestContext.Current.CancellationToken);
        await using var app = await App.Run(context => context.Response.SendFileAsync(path, 2, 5));
        using var connection = app.Connect();
        var answer = connection.Get("/");
        await answer.Released;
        File.Delete(path);
        Assert.Equal("23456", answer.Body);
        Assert.True(answer.IsEnded);
    }

    [Fact]
    public async Task SynchronousWritesAreRefusedUnlessAllowed()
    {
        Exception? thrown = null;
        await using var app = await App.Run(context =>
        {
            thrown = Record.Exception(() => context.Response.Body.Write("x"u8));
            context.Features.Get<IHttpBodyControlFeature>()!.AllowSynchronousIO = true;
            context.Response.Body.Write("y"u8);
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        var answer = connection.Get("/");
        Assert.StartsWith("Synchronous operations are disallowed.", thrown?.Message);
        Assert.Equal("y", answer.Body);
    }

    [Theory]
    [InlineData("a\r\nb", "0x000D")]
    [InlineData("caf\u00e9", "0x00E9")]
    public async Task ValuesThatCouldEndALineAreRefused(string value, string named)
    {
        Exception? thrown = null;
        await using var app = await App.Run(context =>
        {
            thrown = Record.Exception(() => context.Response.Headers["X"] = value);
            Assert.Throws<InvalidOperationException>(() => context.Response.Headers["X y"] = "1");
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        var answer = connection.Get("/");
        Assert.Equal($"Invalid non-ASCII or control character in header: {named}", thrown?.Message);
        Assert.Empty(answer.Headers);
    }
}

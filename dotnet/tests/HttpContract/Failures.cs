using System.Text;

namespace HttpContract;

/// <summary>What an application does wrong, at each point of a response.</summary>
internal static class Failures
{
    internal static void Map(WebApplication app)
    {
        app.Map("/throw/before", () => { throw new InvalidDataException("before"); });
        app.Map("/throw/after-headers", (HttpContext context) =>
        {
            context.Response.Headers["X-Lost"] = "yes";
            context.Response.StatusCode = 202;
            context.Response.ContentLength = 99;
            throw new InvalidDataException("after headers");
        });
        app.Map("/throw/after-start", async (HttpContext context) =>
        {
            await context.Response.StartAsync();
            throw new InvalidDataException("after start");
        });
        app.Map("/throw/after-flush", async (HttpContext context) =>
        {
            await context.Response.WriteAsync("partial");
            await context.Response.Body.FlushAsync();
            throw new InvalidDataException("after flush");
        });
        app.Map("/throw/after-length", async (HttpContext context) =>
        {
            context.Response.ContentLength = 20;
            await context.Response.WriteAsync("partial");
            throw new InvalidDataException("after a part of the length");
        });
        app.Map("/throw/after-whole-length", async (HttpContext context) =>
        {
            context.Response.ContentLength = 5;
            await context.Response.WriteAsync("whole");
            throw new InvalidDataException("after all of the length");
        });
        app.Map("/throw/unflushed", (HttpContext context) =>
        {
            var writer = context.Response.BodyWriter;
            writer.Advance(Encoding.ASCII.GetBytes("unflushed", writer.GetSpan(9)));
            throw new InvalidDataException("before the flush");
        });
        app.Map("/throw/on-starting", (HttpContext context) =>
        {
            context.Response.OnStarting(() => throw new InvalidDataException("on starting"));
            return context.Response.WriteAsync("never seen");
        });
        app.Map("/throw/on-starting-empty", (HttpContext context) =>
            context.Response.OnStarting(() => throw new InvalidDataException("on starting")));
        app.Map("/throw/on-completed", (HttpContext context) =>
        {
            context.Response.OnCompleted(() => throw new InvalidDataException("on completed"));
            return context.Response.WriteAsync("sent");
        });
        app.Map("/throw/bad-request", (HttpContext context) =>
        {
            throw new BadHttpRequestException("bad", context.Request.Number("code", 400));
        });
        app.Map("/throw/cancelled", () => { throw new OperationCanceledException(); });
        app.Map("/throw/after-reading", async (HttpContext context) =>
        {
            await context.Request.Body.CopyToAsync(Stream.Null);
            throw new InvalidDataException("after reading");
        });
        app.Map("/throw/after-complete", async (HttpContext context) =>
        {
            await context.Response.WriteAsync("complete");
            await context.Response.CompleteAsync();
            throw new InvalidDataException("after the end");
        });
        app.Map("/abort/before", (HttpContext context) => context.Abort());
        app.Map("/abort/after-flush", async (HttpContext context) =>
        {
            await context.Response.WriteAsync("partial");
            await context.Response.Body.FlushAsync();
            context.Abort();
        });
        app.Map("/abort/then-write", AbortThenWrite);
    }

    /// <summary>Nothing that is written after an abort fails, and the token has fired.</summary>
    private static async Task AbortThenWrite(HttpContext context)
    {
        var events = Events.Of(context);
        var aborted = new TaskCompletionSource();
        using var registration = context.RequestAborted.Register(aborted.SetResult);
        context.Abort();
        await aborted.Task;
        events.Add($"aborted {context.RequestAborted.IsCancellationRequested}");
        try
        {
            await context.Response.Body.WriteAsync("ignored"u8.ToArray());
            events.Add("written");
        }
        catch (Exception e)
        {
            events.Add(Text.Name(e));
        }
        events.Add("end");
    }
}

using System.Text;
using Microsoft.AspNetCore.Http.Features;

namespace HttpContract;

/// <summary>The ways to answer.</summary>
internal static class Responses
{
    internal static void Map(WebApplication app)
    {
        app.Map("/text", () => "text");
        app.Map("/json", () => Results.Json(new { name = "value", list = new[] { 1, 2, 3 } }));
        app.Map("/empty", () => { });
        app.Map("/status/{code:int}", Status);
        app.Map("/length", Length);
        app.Map("/pieces", Pieces);
        app.Map("/large", Large);
        app.Map("/writer", Writer);
        app.Map("/start", Start);
        app.Map("/complete", Complete);
        app.Map("/flush", (HttpContext context) => context.Response.Body.FlushAsync());
        app.Map("/no-buffering", NoBuffering);
        app.Map("/sync", SyncWrite);
        app.Map("/chunked-by-hand", ChunkedByHand);
        app.Map("/header", Header);
        app.Map("/headers/many", ManyHeaders);
        app.Map("/headers/late", LateHeader);
        app.Map("/headers/encoded", Encoded);
        app.Map("/cookies/set", Cookies);
        app.Map("/redirect", () => Results.Redirect("/elsewhere?a=b%20c"));
        app.Map("/trailers", Trailers);
        app.Map("/zero", async (HttpContext context) =>
        {
            await context.Response.Body.WriteAsync(ReadOnlyMemory<byte>.Empty);
            await context.Response.WriteAsync("");
        });
        app.Map("/not-modified", (HttpContext context) =>
        {
            context.Response.Headers.ETag = "\"v1\"";
            context.Response.ContentLength = 42;
            context.Response.StatusCode = 304;
        });
        app.Map("/continue-by-hand", async (HttpContext context) =>
        {
            var before = context.Request.Headers.Expect.ToString();
            var body = await new StreamReader(context.Request.Body).ReadToEndAsync();
            await context.Say($"{before} {body.Length}");
        });
    }

    private static async Task Status(HttpContext context, int code)
    {
        context.Response.StatusCode = code;
        var request = context.Request;
        if (request.Flag("reason"))
        {
            context.Features.GetRequiredFeature<IHttpResponseFeature>().ReasonPhrase = request.Value("reason");
        }
        if (request.Flag("length"))
        {
            context.Response.ContentLength = request.Number("length", 0);
        }
        if (request.Flag("body"))
        {
            await context.Response.WriteAsync(request.Value("body"));
        }
    }

    /// <summary>Declares a length and keeps to it or not.</summary>
    private static async Task Length(HttpContext context)
    {
        var request = context.Request;
        context.Response.ContentLength = request.Number("declare", 5);
        for (var i = 0; i < request.Number("times", 1); i++)
        {
            await context.Response.Body.WriteAsync(Pattern(0, request.Number("write", 5)));
        }
        if (request.Flag("complete"))
        {
            await context.Response.CompleteAsync();
        }
    }

    private static async Task Pieces(HttpContext context)
    {
        var count = context.Request.Number("n", 3);
        for (var i = 0; i < count; i++)
        {
            await context.Response.WriteAsync($"piece {i};");
            await context.Response.Body.FlushAsync();
        }
    }

    /// <summary>A body of any size, written in blocks.</summary>
    private static async Task Large(HttpContext context)
    {
        var (size, block) = (context.Request.Number("size", 1 << 20), context.Request.Number("block", 16384));
        if (context.Request.Flag("length"))
        {
            context.Response.ContentLength = size;
        }
        for (var at = 0; at < size; at += block)
        {
            await context.Response.Body.WriteAsync(Pattern(at, Math.Min(block, size - at)));
        }
    }

    /// <summary>Writes by the pipe, and leaves the last bytes to be flushed by the server.</summary>
    private static async Task Writer(HttpContext context)
    {
        var writer = context.Response.BodyWriter;
        var text = new StringBuilder($"can count {writer.CanGetUnflushedBytes};");
        for (var i = 0; i < context.Request.Number("n", 3); i++)
        {
            var memory = writer.GetMemory(100);
            text.Append($"unflushed {writer.UnflushedBytes};");
            writer.Advance(Encoding.ASCII.GetBytes(text.ToString(), memory.Span));
            text.Clear();
            if (context.Request.Flag("flush"))
            {
                await writer.FlushAsync();
            }
        }
        if (context.Request.Flag("complete"))
        {
            await writer.CompleteAsync();
        }
    }

    private static async Task Start(HttpContext context)
    {
        var before = context.Response.HasStarted;
        await context.Response.StartAsync();
        await context.Response.WriteAsync($"{before} {context.Response.HasStarted}");
    }

    /// <summary>Ends the response before the handler does.</summary>
    private static async Task Complete(HttpContext context)
    {
        await context.Response.WriteAsync("done");
        await context.Response.CompleteAsync();
        Exception? late = null;
        try
        {
            await context.Response.WriteAsync(" and more");
        }
        catch (Exception e)
        {
            late = e;
        }
        Events.Of(context).Add($"late write {Text.Name(late)}");
        await Events.Of(context).Until("go on");
    }

    private static async Task NoBuffering(HttpContext context)
    {
        context.Features.GetRequiredFeature<IHttpResponseBodyFeature>().DisableBuffering();
        await context.Response.WriteAsync("first;");
        await context.Response.WriteAsync("second;");
    }

    private static async Task SyncWrite(HttpContext context)
    {
        var control = context.Features.GetRequiredFeature<IHttpBodyControlFeature>();
        control.AllowSynchronousIO |= context.Request.Flag("allow");
        try
        {
            context.Response.Body.Write("written"u8);
        }
        catch (InvalidOperationException)
        {
            await context.Response.WriteAsync("refused");
        }
    }

    /// <summary>An application that frames its body itself.</summary>
    private static Task ChunkedByHand(HttpContext context)
    {
        context.Response.Headers.TransferEncoding = context.Request.Value("value", "chunked");
        return context.Response.WriteAsync("5\r\nhello\r\n0\r\n\r\n");
    }

    private static async Task Header(HttpContext context)
    {
        var (name, value) = (context.Request.Value("name", "X-Test"), context.Request.Value("value", "v"));
        try
        {
            context.Response.Headers[name] = value.Split('|');
            await context.Response.WriteAsync("set");
        }
        catch (Exception e) when (!context.Response.HasStarted)
        {
            context.Response.Headers.Remove(name);
            await context.Response.WriteAsync($"refused {Text.Name(e)}");
        }
    }

    private static Task ManyHeaders(HttpContext context)
    {
        var size = context.Request.Number("size", 10);
        for (var i = 0; i < context.Request.Number("n", 100); i++)
        {
            context.Response.Headers[$"X-Header-{i}"] = new string((char)('a' + i % 26), size);
        }
        return context.Response.WriteAsync("many");
    }

    /// <summary>A header with characters beyond ASCII, or its error.</summary>
    private static Task Encoded(HttpContext context)
    {
        try
        {
            context.Response.Headers[context.Request.Value("name")] = $"a{context.Request.Value("value")}b";
            return context.Say("set");
        }
        catch (InvalidOperationException e)
        {
            return context.Say(Text.Name(e));
        }
    }

    private static async Task LateHeader(HttpContext context)
    {
        await context.Response.WriteAsync("started;");
        await context.Response.Body.FlushAsync();
        var errors = new[]
        {
            Catch(() => context.Response.Headers["X-Late"] = "x"),
            Catch(() => context.Response.StatusCode = 201),
            Catch(() => context.Response.ContentLength = 1),
            Catch(() => context.Response.OnStarting(() => Task.CompletedTask)),
            Catch(() => context.Features.GetRequiredFeature<IHttpResponseFeature>().ReasonPhrase = "Late"),
        };
        await context.Response.WriteAsync(string.Join(", ", errors));
    }

    private static Task Cookies(HttpContext context)
    {
        var cookies = context.Response.Cookies;
        cookies.Append("a", "1");
        cookies.Append("b", "two words; and more", new CookieOptions { Path = "/x", HttpOnly = true, Secure = true });
        cookies.Append("c", "3", new CookieOptions { SameSite = SameSiteMode.Strict, MaxAge = TimeSpan.FromHours(1) });
        return context.Response.WriteAsync("set");
    }

    private static async Task Trailers(HttpContext context)
    {
        var supported = context.Response.SupportsTrailers();
        if (supported)
        {
            context.Response.DeclareTrailer("X-Trailer");
        }
        await context.Response.WriteAsync($"supported {supported}");
        if (supported)
        {
            context.Response.AppendTrailer("X-Trailer", "value");
        }
    }

    internal static byte[] Pattern(int offset, int length)
    {
        var bytes = new byte[length];
        for (var i = 0; i < length; i++)
        {
            bytes[i] = (byte)('a' + (offset + i) % 26);
        }
        return bytes;
    }

    private static string Catch(Action action)
    {
        try
        {
            action();
            return "none";
        }
        catch (Exception e)
        {
            return Text.Name(e);
        }
    }
}

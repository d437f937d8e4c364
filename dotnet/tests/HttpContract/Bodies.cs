using System.Buffers;
using System.IO.Pipelines;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Mvc;

namespace HttpContract;

/// <summary>The ways to read a request's body, and not to.</summary>
internal static class Bodies
{
    internal static void Map(WebApplication app)
    {
        app.Map("/body/stream", EchoStream);
        app.Map("/body/pipe", EchoPipe);
        app.Map("/body/hash", Hash);
        app.Map("/body/part", Part);
        app.Map("/body/none", (HttpContext context) => context.Say("not read"));
        app.Map("/body/nothing", () => Results.Empty);
        app.Map("/body/twice", Twice);
        app.Map("/body/sync", Sync);
        app.Map("/body/buffered", Buffered);
        app.Map("/body/catch", Catch);
        app.Map("/body/cancel", CancelRead);
        app.Map("/body/trailers", Trailers);
        app.Map("/body/limit", Limit);
        app.Map("/body/limit-late", LimitLate);
        app.Map("/body/limit-metadata", EchoStream).WithMetadata(new RequestSizeLimitAttribute(16));
        app.Map("/body/no-limit", Hash).WithMetadata(new DisableRequestSizeLimitAttribute());
        app.Map("/body/examine", Examine);
        app.Map("/body/in-background", InBackground);
    }

    private static async Task EchoStream(HttpContext context)
    {
        using var all = new MemoryStream();
        await context.Request.Body.CopyToAsync(all);
        context.Response.ContentType = context.Request.ContentType ?? "application/octet-stream";
        context.Response.Headers["X-Length"] = all.Length.ToString();
        await context.Response.Body.WriteAsync(all.GetBuffer().AsMemory(0, (int)all.Length));
    }

    /// <summary>Answers each piece as it comes.</summary>
    private static async Task EchoPipe(HttpContext context)
    {
        var (reader, writer) = (context.Request.BodyReader, context.Response.BodyWriter);
        if (context.Request.Flag("start"))
        {
            await context.Response.StartAsync();
            await writer.FlushAsync();
        }
        while (true)
        {
            var result = await reader.ReadAsync();
            foreach (var piece in result.Buffer)
            {
                writer.Write(piece.Span);
            }
            reader.AdvanceTo(result.Buffer.End);
            await writer.FlushAsync();
            if (result.IsCompleted)
            {
                return;
            }
        }
    }

    private static async Task Hash(HttpContext context)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[16384];
        var length = 0L;
        while (await context.Request.Body.ReadAsync(buffer) is var count and > 0)
        {
            hash.AppendData(buffer, 0, count);
            length += count;
        }
        await context.Say($"{length} {Convert.ToHexString(hash.GetHashAndReset())}");
    }

    /// <summary>Reads a few bytes and answers; the rest is the server's.</summary>
    private static async Task Part(HttpContext context)
    {
        var buffer = new byte[context.Request.Number("n", 5)];
        var count = await context.Request.Body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false);
        await context.Say($"read {Text.Escape(buffer.AsSpan(0, count))}");
    }

    private static async Task Twice(HttpContext context)
    {
        using var all = new MemoryStream();
        await context.Request.Body.CopyToAsync(all);
        var more = await context.Request.Body.ReadAsync(new byte[1]);
        var none = await context.Request.Body.ReadAsync(Memory<byte>.Empty);
        var result = await context.Request.BodyReader.ReadAsync();
        await context.Say($"{all.Length} {more} {none} {result.Buffer.Length} {result.IsCompleted}");
    }

    private static Task Sync(HttpContext context)
    {
        if (context.Request.Flag("allow"))
        {
            context.Features.GetRequiredFeature<IHttpBodyControlFeature>().AllowSynchronousIO = true;
        }
        try
        {
            using var all = new MemoryStream();
            context.Request.Body.CopyTo(all);
            context.Response.ContentType = "text/plain";
            context.Response.Body.Write(Encoding.ASCII.GetBytes($"read {all.Length}"));
            context.Response.Body.Flush();
            return Task.CompletedTask;
        }
        catch (InvalidOperationException e)
        {
            return context.Say($"refused {Text.Name(e)}");
        }
    }

    private static async Task Buffered(HttpContext context)
    {
        context.Request.EnableBuffering();
        using var reader = new StreamReader(context.Request.Body, leaveOpen: true);
        var first = await reader.ReadToEndAsync();
        context.Request.Body.Position = 0;
        var second = await new StreamReader(context.Request.Body).ReadToEndAsync();
        await context.Say($"{first.Length} {first == second}");
    }

    /// <summary>What goes wrong while reading, seen by the application.</summary>
    private static async Task Catch(HttpContext context)
    {
        using var all = new MemoryStream();
        var first = await Try(() => context.Request.Body.CopyToAsync(all));
        var again = await Try(() => context.Request.Body.CopyToAsync(Stream.Null));
        // How much came before a failure depends on the packets.
        var read = first is null ? $"{all.Length}" : "failed";
        var status = $"{read} {Text.Name(first)}, again {Text.Name(again)}";
        Events.Of(context).Add(status);
        Events.Of(context).Add("caught");
        await context.Say(status);
    }

    private static async Task CancelRead(HttpContext context)
    {
        var reader = context.Request.BodyReader;
        reader.CancelPendingRead();
        var cancelled = await reader.ReadAsync();
        reader.AdvanceTo(cancelled.Buffer.Start);
        var text = $"cancelled {cancelled.IsCanceled}";
        ReadResult next;
        do
        {
            next = await reader.ReadAsync();
            reader.AdvanceTo(next.Buffer.Start, next.Buffer.End);
        }
        while (!next.IsCompleted);
        await context.Say($"{text}, then {next.IsCanceled}");
    }

    private static async Task Trailers(HttpContext context)
    {
        var feature = context.Features.GetRequiredFeature<IHttpRequestTrailersFeature>();
        var before = context.Request.Flag("early") ? await Try(() => Task.FromResult(feature.Trailers)) : null;
        using var all = new MemoryStream();
        await context.Request.Body.CopyToAsync(all);
        var text = new StringBuilder($"early {Text.Name(before)}\nbody {all.Length}\navailable {feature.Available}\n");
        text.Append($"declared {string.Join(" | ", context.Request.GetDeclaredTrailers().ToArray())}\n");
        foreach (var (name, values) in feature.Trailers.OrderBy(it => it.Key, StringComparer.Ordinal))
        {
            text.Append($"- {Text.Escape(name)}: {string.Join(" | ", values.Select(Text.Escape))}\n");
        }
        await context.Say(text.ToString());
    }

    private static async Task Limit(HttpContext context)
    {
        var feature = context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>();
        var limit = context.Request.Number("max", 10);
        feature.MaxRequestBodySize = limit < 0 ? null : limit;
        if (context.Request.Flag("catch"))
        {
            await Catch(context);
        }
        else
        {
            await EchoStream(context);
        }
    }

    private static async Task LimitLate(HttpContext context)
    {
        var feature = context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>();
        var before = feature.IsReadOnly;
        await context.Request.Body.ReadAsync(new byte[1]);
        var error = await Try(() =>
        {
            feature.MaxRequestBodySize = 1;
            return Task.CompletedTask;
        });
        await context.Say($"{before} {feature.IsReadOnly} {feature.MaxRequestBodySize} {Text.Name(error)}");
    }

    /// <summary>Looks at the body without taking any of it, until all is there.</summary>
    private static async Task Examine(HttpContext context)
    {
        var reader = context.Request.BodyReader;
        while (true)
        {
            var result = await reader.ReadAsync();
            if (result.IsCompleted)
            {
                var text = Text.Escape(result.Buffer.ToArray());
                reader.AdvanceTo(result.Buffer.End);
                await context.Say(text);
                return;
            }
            reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
        }
    }

    /// <summary>Reads on another thread while this one is blocked.</summary>
    private static Task InBackground(HttpContext context)
    {
        var length = Task.Run(async () =>
        {
            using var all = new MemoryStream();
            await context.Request.Body.CopyToAsync(all);
            return all.Length;
        }).GetAwaiter().GetResult();
        return context.Say($"read {length}");
    }

    private static async Task<Exception?> Try(Func<Task> run)
    {
        try
        {
            await run();
            return null;
        }
        catch (Exception e)
        {
            return e;
        }
    }
}

using System.Diagnostics;
using System.Text;
using Microsoft.AspNetCore.Http.Features;

namespace HttpContract;

/// <summary>What the application sees of a request.</summary>
internal static class Requests
{
    internal static void Map(WebApplication app)
    {
        app.MapFallback("{**path}", Echo);
        app.Map("/routed/{name}/{*rest}", (string name, string? rest, HttpContext context) =>
            context.Say($"name {Text.Escape(name)}\nrest {Text.Escape(rest)}\n"));
        app.MapGet("/trace", (HttpContext context) => context.Say(
            $"{Activity.Current?.TraceId} {Activity.Current?.ParentSpanId} {context.TraceIdentifier}"));
        app.MapGet("/query", (HttpContext context) =>
            context.Say(Pairs(context.Request.Query.Select(it => (it.Key, it.Value.ToArray())))));
        app.MapGet("/cookies", (HttpContext context) =>
            context.Say(Pairs(context.Request.Cookies.Select(it => (it.Key, new[] { (string?)it.Value })))));
        app.MapGet("/typed", Typed);
        app.MapPost("/form", Form);
        app.MapGet("/headers/count", (HttpContext context) =>
        {
            var headers = context.Request.Headers;
            return context.Say($"{headers.Count} of {headers.Sum(it => it.Key.Length + it.Value.Sum(v => v!.Length))}");
        });
    }

    /// <summary>Everything about a request but its body.</summary>
    private static Task Echo(HttpContext context)
    {
        var request = context.Request;
        var raw = context.Features.GetRequiredFeature<IHttpRequestFeature>();
        var body = context.Features.Get<IHttpRequestBodyDetectionFeature>();
        var text = new StringBuilder();
        text.Append($"method {Text.Escape(request.Method)}\n");
        text.Append($"scheme {Text.Escape(request.Scheme)}\n");
        text.Append($"protocol {Text.Escape(request.Protocol)}\n");
        text.Append($"target {Text.Escape(raw.RawTarget)}\n");
        text.Append($"base {Text.Escape(request.PathBase.Value)}\n");
        text.Append($"path {Text.Escape(request.Path.Value)}\n");
        text.Append($"query {Text.Escape(request.QueryString.Value)}\n");
        text.Append($"host {Text.Escape(request.Host.Value)}\n");
        text.Append($"length {request.ContentLength?.ToString() ?? "none"}\n");
        text.Append($"type {Text.Escape(request.ContentType)}\n");
        text.Append($"body {body?.CanHaveBody}\n");
        text.Append(Pairs(request.Headers.Select(it => (it.Key, it.Value.ToArray()))));
        return context.Say(text.ToString());
    }

    private static Task Typed(HttpContext context)
    {
        var headers = context.Request.GetTypedHeaders();
        var text = new StringBuilder();
        text.Append($"accept {string.Join(" | ", headers.Accept)}\n");
        text.Append($"since {headers.IfModifiedSince:o}\n");
        text.Append($"range {headers.Range}\n");
        text.Append($"agent {Text.Escape(context.Request.Headers.UserAgent)}\n");
        text.Append($"languages {string.Join(" | ", headers.AcceptLanguage)}\n");
        return context.Say(text.ToString());
    }

    private static async Task Form(HttpContext context)
    {
        var text = new StringBuilder($"form {context.Request.HasFormContentType}\n");
        try
        {
            var form = await context.Request.ReadFormAsync();
            text.Append(Pairs(form.Select(it => (it.Key, it.Value.ToArray()))));
            foreach (var file in form.Files)
            {
                using var reader = new MemoryStream();
                await file.CopyToAsync(reader);
                text.Append($"file {Text.Escape(file.Name)} {Text.Escape(file.FileName)} {file.ContentType} ");
                text.Append($"{Text.Escape(reader.ToArray())}\n");
            }
        }
        catch (Exception e) when (e is InvalidDataException or InvalidOperationException or BadHttpRequestException)
        {
            text.Append($"failed {Text.Name(e)}\n");
        }
        await context.Say(text.ToString());
    }

    private static string Pairs(IEnumerable<(string Name, string?[] Values)> pairs) =>
        string.Concat(pairs.OrderBy(it => it.Name, StringComparer.Ordinal).Select(it =>
            $"- {Text.Escape(it.Name)}: {string.Join(" | ", it.Values.Select(Text.Escape))}\n"));
}

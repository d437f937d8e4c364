using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace HttpContract;

internal static class Text
{
    /// <summary>Text of which every byte can be printed: anything but ASCII becomes an escape.</summary>
    internal static string Escape(string? text) =>
        text is null ? "null" : "\"" + JsonEncodedText.Encode(text).ToString() + "\"";

    internal static string Escape(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder("\"");
        foreach (var value in bytes)
        {
            _ = value is >= 0x20 and < 0x7f and not (byte)'"' and not (byte)'\\'
                ? text.Append((char)value)
                : text.Append($"\\x{value:x2}");
        }
        return text.Append('"').ToString();
    }

    /// <summary>An exception as the tests compare it; messages are the server's own.</summary>
    internal static string Name(Exception? error) => error switch
    {
        null => "none",
        BadHttpRequestException bad => $"BadHttpRequestException {bad.StatusCode}",
        _ => error.GetType().Name,
    };

    internal static int Number(this HttpRequest request, string name, int otherwise) =>
        int.TryParse(request.Query[name], out var number) ? number : otherwise;

    internal static string Value(this HttpRequest request, string name, string otherwise = "") =>
        request.Query.TryGetValue(name, out var values) ? values.ToString() : otherwise;

    internal static bool Flag(this HttpRequest request, string name) => request.Query.ContainsKey(name);

    internal static Task Say(this HttpContext context, string text)
    {
        context.Response.ContentType = "text/plain";
        return context.Response.WriteAsync(text, context.RequestAborted);
    }
}

/// <summary>What happened, by the key of a request, so that another request can ask and wait for it.</summary>
internal sealed class Events
{
    private static readonly ConcurrentDictionary<string, Events> s_all = new();

    private readonly List<string> _seen = [];
    private readonly Dictionary<string, TaskCompletionSource> _awaited = [];

    internal static Events Of(HttpContext context) => s_all.GetOrAdd(context.Request.Value("key"), _ => new Events());

    internal void Add(string name)
    {
        lock (_seen)
        {
            _seen.Add(name);
            Source(name).TrySetResult();
        }
    }

    internal Task Until(string name)
    {
        lock (_seen)
        {
            return Source(name).Task;
        }
    }

    public override string ToString()
    {
        lock (_seen)
        {
            return string.Join(", ", _seen);
        }
    }

    private TaskCompletionSource Source(string name)
    {
        if (!_awaited.TryGetValue(name, out var source))
        {
            source = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _awaited[name] = source;
        }
        return source;
    }
}

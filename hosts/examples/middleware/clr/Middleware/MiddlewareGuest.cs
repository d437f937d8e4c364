// These lines are for loading this file as it is: clr:MiddlewareGuest.cs
// polyhost: source gen/*.cs
// polyhost: reference Google.Protobuf.dll
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Text.Unicode;
using Bench.V1;
using Google.Protobuf;
using Polyhost;

namespace MiddlewareSample;

/// <summary>The middleware in C#.</summary>
public static class MiddlewareGuest
{
    private const string Prefix = "/api/v1/";

    private static readonly Regex s_slashes = new("//+", RegexOptions.CultureInvariant);
    private static readonly ConcurrentDictionary<string, ulong> s_counts = new();

    /// <summary>Checks the signature, rewrites path and headers, transforms a JSON body, counts.</summary>
    [Export("bench.v1.Middleware/Handle")]
    public static Reply Handle(Request request)
    {
        if (!request.Headers.TryGetValue("x-key", out string? key) || !IsSigned(request, key))
        {
            return new Reply { Status = 401 };
        }

        ByteString body = request.Body;
        if (request.Headers.TryGetValue("content-type", out string? type)
            && type.StartsWith("application/json", StringComparison.Ordinal))
        {
            try
            {
                body = Transform(body.Memory, key);
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException or OverflowException)
            {
                return new Reply { Status = 400 };
            }
        }

        Reply reply = Rewritten(request, body);
        reply.Count = s_counts.AddOrUpdate(key, 1, (_, count) => count + 1);
        return reply;
    }

    /// <summary>Rewrites path and headers alone.</summary>
    [Export("bench.v1.Middleware/Rewrite")]
    public static Reply Rewrite(Request request) => Rewritten(request, request.Body);

    private static bool IsSigned(Request request, string key)
    {
        if (!request.Headers.TryGetValue("x-signature", out string? signature))
        {
            return false;
        }

        byte[] secret = Encoding.UTF8.GetBytes("secret-" + key);
        byte[] head = Encoding.UTF8.GetBytes($"{request.Method}\n{request.Path}\n");
        using IncrementalHash hmac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, secret);
        hmac.AppendData(head);
        hmac.AppendData(request.Body.Span);
        string expected = Convert.ToHexString(hmac.GetHashAndReset()).ToLowerInvariant();
        return CryptographicOperations.FixedTimeEquals(
            Encoding.UTF8.GetBytes(signature), Encoding.UTF8.GetBytes(expected));
    }

    private static Reply Rewritten(Request request, ByteString body)
    {
        int mark = request.Path.IndexOf('?');
        string query = mark < 0 ? "" : request.Path[mark..];
        string path = s_slashes.Replace(mark < 0 ? request.Path : request.Path[..mark], "/");
        if (path.Length > 1 && path.EndsWith('/'))
        {
            path = path[..^1];
        }

        var reply = new Reply { Body = body };
        foreach ((string name, string value) in request.Headers)
        {
            if (name is not ("connection" or "keep-alive" or "x-signature"))
            {
                reply.Headers[name] = value;
            }
        }

        reply.Headers["via"] = "polyhost";
        if (path.StartsWith(Prefix, StringComparison.Ordinal))
        {
            path = "/internal/" + path[Prefix.Length..];
            reply.Headers["x-forwarded-prefix"] = "/api/v1";
        }

        reply.Path = path + query;
        return reply;
    }

    // A document and a writer, and no objects of our own: System.Text.Json's reflection over a guest's types would
    // keep the guest from ever being unloaded (dotnet/runtime#65323).
    private static ByteString Transform(ReadOnlyMemory<byte> body, string key)
    {
        if (!Utf8.IsValid(body.Span))
        {
            throw new JsonException("no UTF-8");
        }

        using JsonDocument document = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = 128 });
        using var stream = new MemoryStream(body.Length + 128);
        using (var json = new Utf8JsonWriter(stream))
        {
            Write(json, document.RootElement, key);
        }

        return ByteString.CopyFrom(stream.GetBuffer().AsSpan(0, (int)stream.Length));
    }

    private static void Write(Utf8JsonWriter json, JsonElement root, string key)
    {
        long? total = root.TryGetProperty("items", out JsonElement items) ? Total(items) : null;
        json.WriteStartObject();
        foreach (JsonProperty member in root.EnumerateObject())
        {
            bool replaced = member.NameEquals("gateway") || (total is not null && member.NameEquals("total"));
            if (!replaced && !member.NameEquals("password"))
            {
                member.WriteTo(json);
            }
        }

        json.WriteStartObject("gateway");
        json.WriteString("key", key);
        json.WriteEndObject();
        if (total is not null)
        {
            json.WriteNumber("total", total.Value);
        }

        json.WriteEndObject();
    }

    private static long Total(JsonElement items)
    {
        long sum = 0;
        foreach (JsonElement item in items.EnumerateArray())
        {
            sum = checked(sum + (Integer(item, "price") * Integer(item, "quantity")));
        }

        return sum;
    }

    private static long Integer(JsonElement item, string name) =>
        item.TryGetProperty(name, out JsonElement value) && value.TryGetInt64(out long number)
            ? number
            : throw new JsonException($"{name} is no integer");
}

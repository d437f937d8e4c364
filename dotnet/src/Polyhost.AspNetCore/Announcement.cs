using System.Buffers;
using System.Text.Json;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;

namespace Polyhost.AspNetCore;

/// <summary>What the server tells the host when the application is ready for requests.</summary>
internal static class Announcement
{
    internal static ReadOnlySpan<byte> Of(HostServer server)
    {
        var options = server.Options;
        var addresses = server.Features.Get<IServerAddressesFeature>();
        var routes = server.App.Routes();
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            Write(json, "addresses", addresses?.Addresses ?? []);
            Write(json, "endpoints", options.Endpoints);
            Write(json, "ignored", options.Ignored);
            json.WriteBoolean("preferHostingUrls", addresses?.PreferHostingUrls ?? false);
            json.WriteBoolean("addServerHeader", options.AddServerHeader);
            json.WriteBoolean("allowSynchronousIO", options.AllowSynchronousIO);
            json.WriteStartObject("limits");
            WriteLimits(json, options);
            json.WriteEndObject();
            Write(json, "inline", routes.Inline);
            Write(json, "notInline", routes.NotInline);
            routes.WriteTo(json);
            json.WriteEndObject();
        }
        return buffer.WrittenSpan;
    }

    private static void Write(Utf8JsonWriter json, string name, IEnumerable<string> texts)
    {
        json.WriteStartArray(name);
        foreach (var text in texts)
        {
            json.WriteStringValue(text);
        }
        json.WriteEndArray();
    }

    private static void WriteLimits(Utf8JsonWriter json, ServerOptions options)
    {
        json.WriteNumber("maxRequestLineSize", options.MaxRequestLineSize);
        json.WriteNumber("maxRequestHeadersTotalSize", options.MaxRequestHeadersTotalSize);
        json.WriteNumber("maxRequestHeaderCount", options.MaxRequestHeaderCount);
        json.WriteBoolean("anyHeaderEncoding", options.RequestHeaderEncoding is not null);
        Write(json, "maxRequestBodySize", options.MaxRequestBodySize);
        Write(json, "maxResponseBufferSize", options.MaxResponseBufferSize);
        Write(json, "maxConcurrentConnections", options.MaxConcurrentConnections);
        json.WriteNumber("keepAliveTimeoutMs", (long)options.KeepAliveTimeout.TotalMilliseconds);
        json.WriteNumber("requestHeadersTimeoutMs", (long)options.RequestHeadersTimeout.TotalMilliseconds);
        Write(json, "minRequestBodyDataRate", options.MinRequestBodyDataRate);
        Write(json, "minResponseDataRate", options.MinResponseDataRate);
    }

    private static void Write(Utf8JsonWriter json, string name, long? limit)
    {
        if (limit is { } number)
        {
            json.WriteNumber(name, number);
        }
        else
        {
            json.WriteNull(name);
        }
    }

    private static void Write(Utf8JsonWriter json, string name, (double BytesPerSecond, TimeSpan Grace)? rate)
    {
        if (rate is not { } limit)
        {
            json.WriteNull(name);
            return;
        }
        json.WriteStartObject(name);
        json.WriteNumber("bytesPerSecond", limit.BytesPerSecond);
        json.WriteNumber("graceMs", (long)limit.Grace.TotalMilliseconds);
        json.WriteEndObject();
    }
}

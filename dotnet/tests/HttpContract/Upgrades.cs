using System.Net.WebSockets;
using Microsoft.AspNetCore.Http.Features;

namespace HttpContract;

/// <summary>Connections that stop being HTTP.</summary>
internal static class Upgrades
{
    internal static void Map(WebApplication app)
    {
        app.Map("/upgrade", Upgrade);
        app.Map("/websocket", Socket);
    }

    private static async Task Upgrade(HttpContext context)
    {
        var feature = context.Features.Get<IHttpUpgradeFeature>();
        if (feature is not { IsUpgradableRequest: true })
        {
            await context.Say($"not upgradable, feature {feature is not null}");
            return;
        }
        var request = context.Request;
        var mode = request.Value("mode", "echo");
        if (mode == "refuse")
        {
            await context.Say("refused");
            return;
        }
        context.Response.Headers["X-Upgrade"] = mode;
        if (request.Flag("status"))
        {
            context.Response.StatusCode = request.Number("status", 101);
        }
        if (mode == "sized")
        {
            context.Response.ContentLength = 5;
        }
        var stream = await feature.UpgradeAsync();
        switch (mode)
        {
            case "throw":
                throw new InvalidDataException("upgraded");
            case "twice":
                await Again(feature, stream);
                break;
            case "greet":
                await stream.WriteAsync("greetings\n"u8.ToArray());
                break;
            case "body":
                await stream.WriteAsync(new[] { (byte)('0' + await request.Body.ReadAsync(new byte[8])) });
                break;
            case "abort":
                context.Abort();
                break;
            default:
                await stream.CopyToAsync(stream);
                Events.Of(context).Add("end");
                break;
        }
    }

    private static async Task Again(IHttpUpgradeFeature feature, Stream stream)
    {
        try
        {
            await feature.UpgradeAsync();
        }
        catch (InvalidOperationException)
        {
            await stream.WriteAsync("refused"u8.ToArray());
        }
    }

    /// <summary>Echoes messages until the client closes; "close" and "abort" make the server end it.</summary>
    private static async Task Socket(HttpContext context)
    {
        if (!context.WebSockets.IsWebSocketRequest)
        {
            context.Response.StatusCode = 400;
            await context.Say($"no WebSocket, {context.WebSockets.WebSocketRequestedProtocols.Count} protocols");
            return;
        }
        var protocol = context.WebSockets.WebSocketRequestedProtocols.FirstOrDefault(it => it == "chat");
        using var socket = await context.WebSockets.AcceptWebSocketAsync(new WebSocketAcceptContext
        {
            SubProtocol = protocol,
            KeepAliveInterval = Timeout.InfiniteTimeSpan,
            DangerousEnableCompression = context.Request.Flag("compress"),
        });
        var buffer = new byte[context.Request.Number("buffer", 65536)];
        while (true)
        {
            ValueWebSocketReceiveResult result;
            try
            {
                result = await socket.ReceiveAsync(buffer.AsMemory(), CancellationToken.None);
            }
            catch (WebSocketException e)
            {
                Events.Of(context).Add($"{e.WebSocketErrorCode}");
                Events.Of(context).Add("end");
                return;
            }
            if (result.MessageType == WebSocketMessageType.Close)
            {
                var status = socket.CloseStatus ?? WebSocketCloseStatus.NormalClosure;
                await socket.CloseAsync(status, socket.CloseStatusDescription, CancellationToken.None);
                return;
            }
            var message = buffer.AsMemory(0, result.Count);
            if (message.Span.SequenceEqual("close"u8))
            {
                await socket.CloseAsync(WebSocketCloseStatus.EndpointUnavailable, "asked to", CancellationToken.None);
                return;
            }
            if (message.Span.SequenceEqual("abort"u8))
            {
                socket.Abort();
                return;
            }
            await socket.SendAsync(message, result.MessageType, result.EndOfMessage, CancellationToken.None);
        }
    }
}

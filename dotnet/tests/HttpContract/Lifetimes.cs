using System.Net;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;

namespace HttpContract;

/// <summary>When things happen, what lives how long, and which features there are.</summary>
internal static class Lifetimes
{
    private static readonly AsyncLocal<string?> s_local = new();

    private static readonly Type[] s_features =
    [
        typeof(IHttpRequestFeature), typeof(IHttpResponseFeature), typeof(IHttpResponseBodyFeature),
        typeof(IRequestBodyPipeFeature), typeof(IHttpRequestLifetimeFeature), typeof(IHttpConnectionFeature),
        typeof(IHttpRequestIdentifierFeature), typeof(IHttpRequestBodyDetectionFeature),
        typeof(IHttpBodyControlFeature), typeof(IHttpMaxRequestBodySizeFeature), typeof(IHttpResponseTrailersFeature),
        typeof(IHttpRequestTrailersFeature), typeof(IHttpResetFeature), typeof(IHttpUpgradeFeature),
        typeof(IHttpExtendedConnectFeature), typeof(ITlsConnectionFeature), typeof(IPersistentStateFeature),
        typeof(IConnectionLifetimeFeature), typeof(IConnectionLifetimeNotificationFeature),
        typeof(IConnectionIdFeature), typeof(IConnectionItemsFeature), typeof(IBadRequestExceptionFeature),
    ];

    internal static void Map(WebApplication app)
    {
        app.Map("/events", async (HttpContext context) =>
        {
            await Events.Of(context).Until(context.Request.Value("until"));
            await context.Say(Events.Of(context).ToString());
        });
        app.Map("/signal", (HttpContext context) => Events.Of(context).Add(context.Request.Value("name")));
        app.Map("/order", Order);
        app.Map("/aborted", Aborted);
        app.Map("/aborted/reading", AbortedReading);
        app.Map("/aborted/writing", AbortedWriting);
        app.Map("/async-local", (HttpContext context) =>
        {
            var before = s_local.Value;
            s_local.Value = "leaked";
            return context.Say($"before {before ?? "null"}");
        });
        app.Map("/thread", (HttpContext context) => context.Say(
            $"{SynchronizationContext.Current is null} {TaskScheduler.Current == TaskScheduler.Default}"));
        app.Map("/features", (HttpContext context) => context.Say(string.Concat(
            s_features.Select(it => $"{it.Name} {context.Features[it] is not null}\n"))));
        app.Map("/connection", Connection);
        app.Map("/persistent", (HttpContext context) =>
        {
            var state = context.Features.GetRequiredFeature<IPersistentStateFeature>().State;
            var count = state.TryGetValue("count", out var old) ? (int)old! + 1 : 1;
            state["count"] = count;
            return context.Say($"{count}");
        });
        app.Map("/items", (HttpContext context) =>
        {
            var count = context.Items.Count;
            context.Items["left"] = "behind";
            return context.Say($"{count} {context.Features.Revision > 0}");
        });
        app.Map("/close", (HttpContext context) =>
        {
            context.Features.GetRequiredFeature<IConnectionLifetimeNotificationFeature>().RequestClose();
            return context.Say("closing");
        });
        app.Map("/after", After);
        app.Map("/scoped", (HttpContext context) =>
        {
            context.Response.RegisterForDispose(new Tell(Events.Of(context), "disposed"));
            return context.Say("registered");
        });
    }

    private static async Task Order(HttpContext context)
    {
        var (response, events) = (context.Response, Events.Of(context));
        foreach (var name in new[] { "first", "second" })
        {
            response.OnStarting(() =>
            {
                response.Headers.Append("X-Starting", name);
                events.Add($"starting {name} {response.HasStarted}");
                return Task.CompletedTask;
            });
            response.OnCompleted(() =>
            {
                events.Add($"completed {name} {response.HasStarted}");
                return Task.CompletedTask;
            });
        }
        events.Add("begin");
        if (context.Request.Flag("write"))
        {
            await response.WriteAsync("body");
            events.Add("written");
        }
        if (context.Request.Flag("throw"))
        {
            throw new InvalidDataException("on purpose");
        }
    }

    /// <summary>Waits until the client is gone.</summary>
    private static async Task Aborted(HttpContext context)
    {
        var events = Events.Of(context);
        await context.Response.WriteAsync("waiting");
        await context.Response.Body.FlushAsync();
        try
        {
            await Task.Delay(Timeout.Infinite, context.RequestAborted);
        }
        catch (OperationCanceledException)
        {
            events.Add("aborted");
        }
    }

    private static async Task AbortedReading(HttpContext context)
    {
        var events = Events.Of(context);
        await context.Response.WriteAsync("waiting");
        await context.Response.Body.FlushAsync();
        try
        {
            await context.Request.Body.CopyToAsync(Stream.Null);
            events.Add("read");
        }
        catch (Exception e)
        {
            events.Add(Text.Name(e));
        }
        events.Add("end");
    }

    /// <summary>Writes until the client is gone; no write fails.</summary>
    private static async Task AbortedWriting(HttpContext context)
    {
        var events = Events.Of(context);
        var block = Responses.Pattern(0, 65536);
        try
        {
            while (!context.RequestAborted.IsCancellationRequested)
            {
                await context.Response.Body.WriteAsync(block);
            }
            await context.Response.Body.WriteAsync(block);
            events.Add("aborted");
        }
        catch (Exception e)
        {
            events.Add(Text.Name(e));
        }
        events.Add("end");
    }

    private static Task Connection(HttpContext context)
    {
        var connection = context.Connection;
        var trace = context.TraceIdentifier.Split(':');
        return context.Say(
            $"{connection.RemoteIpAddress} {connection.LocalIpAddress} {connection.RemotePort > 0}"
            + $" {connection.LocalPort > 0} {connection.RemotePort != connection.LocalPort}\n"
            + $"{trace[0] == connection.Id} {trace[^1]} {connection.Id.Length > 0}"
            + $" {IPAddress.Loopback.Equals(connection.LocalIpAddress)} {connection.ClientCertificate is null}\n");
    }

    /// <summary>Keeps the context, to be used after its request is over and its connection gone.</summary>
    private static Task After(HttpContext context)
    {
        var events = Events.Of(context);
        _ = Task.Run(async () =>
        {
            await events.Until("now");
            try
            {
                events.Add($"still {context.Request.Path}");
            }
            catch (Exception e)
            {
                events.Add(Text.Name(e));
            }
            events.Add("told");
        });
        return context.Say("kept");
    }

    private sealed class Tell(Events events, string name) : IDisposable
    {
        public void Dispose() => events.Add(name);
    }
}

using System.Collections;
using System.Net;
using System.Reflection;
using System.Text;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Polyhost.AspNetCore;

/// <summary>
/// What the application has set for Kestrel and means for its server, whatever that is: limits, synchronous I/O, where
/// to listen. The callbacks do not run by themselves when there is no Kestrel.
/// </summary>
internal static class KestrelSettings
{
    internal static void Read(IServiceProvider provider, ServerOptions settings)
    {
        var options = new KestrelServerOptions { ApplicationServices = provider };
        Apply(provider.GetServices<IConfigureOptions<KestrelServerOptions>>(), one => one.Configure(options), settings);
        Apply(provider.GetServices<IPostConfigureOptions<KestrelServerOptions>>(), one => one.PostConfigure(Options.DefaultName, options), settings);
        Copy(options, settings);
        settings.RequestHeaderEncoding = Chosen(options.RequestHeaderEncodingSelector);
        settings.ResponseHeaderEncoding = Chosen(options.ResponseHeaderEncodingSelector);
        settings.Endpoints.AddRange(InCode(options));
        settings.Endpoints.AddRange(InConfiguration(provider.GetService<IConfiguration>()));
    }

    /// <summary>None for Kestrel's own, which has no opinion on any header.</summary>
    private static Func<string, Encoding?>? Chosen(Func<string, Encoding?> selector) =>
        selector.Method.Module.Assembly == typeof(KestrelServerOptions).Assembly ? null : selector;

    /// <summary>Each by itself: what was set before one throws (an endpoint without its certificate, say) stays.</summary>
    private static void Apply<T>(IEnumerable<T> all, Action<T> apply, ServerOptions settings)
    {
        foreach (var one in all)
        {
            try
            {
                apply(one);
            }
            catch (Exception e)
            {
                settings.Ignored.Add($"{e.GetType().Name}: {e.Message}");
            }
        }
    }

    private static void Copy(KestrelServerOptions options, ServerOptions settings)
    {
        var limits = options.Limits;
        settings.AllowSynchronousIO = options.AllowSynchronousIO;
        settings.AddServerHeader = options.AddServerHeader;
        settings.DisableStringReuse = options.DisableStringReuse;
        settings.MaxRequestBodySize = limits.MaxRequestBodySize;
        settings.MaxRequestLineSize = limits.MaxRequestLineSize;
        settings.MaxRequestHeadersTotalSize = limits.MaxRequestHeadersTotalSize;
        settings.MaxRequestHeaderCount = limits.MaxRequestHeaderCount;
        settings.MaxResponseBufferSize = limits.MaxResponseBufferSize;
        settings.MaxConcurrentConnections = limits.MaxConcurrentConnections;
        settings.KeepAliveTimeout = limits.KeepAliveTimeout;
        settings.RequestHeadersTimeout = limits.RequestHeadersTimeout;
        settings.MinRequestBodyDataRate = Rate(limits.MinRequestBodyDataRate);
        settings.MinResponseDataRate = Rate(limits.MinResponseDataRate);
    }

    private static (double BytesPerSecond, TimeSpan Grace)? Rate(MinDataRate? rate) =>
        rate is null ? null : (rate.BytesPerSecond, rate.GracePeriod);

    /// <summary>Endpoints of <c>options.Listen…</c>. Kestrel keeps the list to itself.</summary>
    private static IEnumerable<string> InCode(KestrelServerOptions options)
    {
        const BindingFlags Instance = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance;
        var type = typeof(KestrelServerOptions);
        var property = type.GetProperty("CodeBackedListenOptions", Instance) ?? type.GetProperty("ListenOptions", Instance);
        foreach (var listen in (property?.GetValue(options) as IEnumerable ?? Array.Empty<object>()).OfType<ListenOptions>())
        {
            var scheme = (bool?)typeof(ListenOptions).GetProperty("IsTls", Instance)?.GetValue(listen) == true ? "https" : "http";
            yield return listen switch
            {
                { SocketPath: { } path } => $"{scheme}://unix:{path}",
                // Any IP is how it says ListenLocalhost and ListenAnyIP, whose own types are not public.
                { EndPoint: IPEndPoint ip } => $"{scheme}://{Host(listen, ip)}:{ip.Port}",
                _ => $"{scheme}://{listen.EndPoint}",
            };
        }
    }

    private static string Host(ListenOptions listen, IPEndPoint endpoint) => listen.GetType().Name switch
    {
        "LocalhostListenOptions" => "localhost",
        "AnyIPListenOptions" => "*",
        _ => endpoint.Address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? $"[{endpoint.Address}]" : endpoint.Address.ToString(),
    };

    private static IEnumerable<string> InConfiguration(IConfiguration? configuration) =>
        configuration?.GetSection("Kestrel:Endpoints").GetChildren().Select(endpoint => endpoint["Url"]).OfType<string>() ?? [];
}

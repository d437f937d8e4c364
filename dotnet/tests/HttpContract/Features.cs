using System.Reflection;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace HttpContract;

/// <summary>Which features a request has by itself.</summary>
internal static class Features
{
    /// <summary>Those of Kestrel that belong to how it works, or to protocols that HTTP/1.1 is not.</summary>
    private static readonly string[] s_ofKestrel =
    [
        "IConnectionCompleteFeature", "IConnectionHeartbeatFeature", "IConnectionMetricsContextFeature", "IConnectionMetricsTagsFeature",
        "IConnectionSocketFeature", "IConnectionTransportFeature", "IConnectionUserFeature", "IHttpWebTransportFeature", "IMemoryPoolFeature",
        "IConnectionEndPointFeature", "IConnectionNamedPipeFeature", "IStreamClosedFeature",
    ];

    internal static void Map(WebApplication app)
    {
        app.MapGet("/features/all", (HttpContext context) => context.Say(Names(context, ofKestrel: false)));
        app.MapGet("/features/kestrel", (HttpContext context) => context.Say(Names(context, ofKestrel: true)));
    }

    private static string Names(HttpContext context, bool ofKestrel)
    {
        Assembly[] assemblies =
        [
            typeof(IHttpRequestFeature).Assembly, typeof(IEndpointFeature).Assembly, typeof(IConnectionIdFeature).Assembly,
            typeof(KestrelServerOptions).Assembly,
        ];
        var types = assemblies.Distinct().SelectMany(it => it.GetExportedTypes())
            .Where(it => it.IsInterface && it.Name.EndsWith("Feature") && s_ofKestrel.Contains(it.Name) == ofKestrel)
            .Where(it => context.Features[it] is not null);
        return string.Concat(types.Select(it => it.Name).Order(StringComparer.Ordinal).Select(name => $"{name}\n"));
    }
}

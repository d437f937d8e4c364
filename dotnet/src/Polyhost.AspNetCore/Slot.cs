using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.Features.Authentication;

namespace Polyhost.AspNetCore;

/// <summary>The places of features: those that the context is itself come first.</summary>
internal static class Slot
{
    private static readonly Type[] s_types =
    [
        typeof(IHttpRequestFeature), typeof(IHttpResponseFeature), typeof(IHttpResponseBodyFeature),
        typeof(IRequestBodyPipeFeature), typeof(IHttpRequestLifetimeFeature), typeof(IHttpConnectionFeature),
        typeof(IHttpRequestIdentifierFeature), typeof(IHttpRequestBodyDetectionFeature),
        typeof(IHttpBodyControlFeature), typeof(IHttpMaxRequestBodySizeFeature), typeof(IHttpRequestTrailersFeature),
        typeof(IEndpointFeature), typeof(IRouteValuesFeature), typeof(IPersistentStateFeature),
        typeof(IHttpUpgradeFeature), typeof(IHttpExtendedConnectFeature), typeof(IBadRequestExceptionFeature),
        typeof(IConnectionIdFeature), typeof(IConnectionItemsFeature), typeof(IConnectionLifetimeFeature),
        typeof(IConnectionLifetimeNotificationFeature),
        typeof(IServiceProvidersFeature), typeof(IItemsFeature), typeof(IQueryFeature), typeof(IFormFeature),
        typeof(IHttpAuthenticationFeature), typeof(ISessionFeature), typeof(IRequestCookiesFeature),
        typeof(IResponseCookiesFeature), typeof(IHttpActivityFeature), typeof(IHttpMetricsTagsFeature),
        typeof(IHttpResponseTrailersFeature), typeof(ITlsConnectionFeature),
        typeof(IHttpWebSocketFeature), typeof(IServerVariablesFeature),
    ];

    /// <summary>Only there where a protocol can be: not on HTTP/2.</summary>
    internal static readonly int Upgrade = Array.IndexOf(s_types, typeof(IHttpUpgradeFeature));

    /// <summary>Of the connection, not of the request: found, but not listed.</summary>
    internal static readonly int FirstOfConnection = Array.IndexOf(s_types, typeof(IConnectionIdFeature));

    /// <summary>The first that the context is not itself.</summary>
    internal static readonly int FirstGiven = Array.IndexOf(s_types, typeof(IServiceProvidersFeature));

    private static readonly Dictionary<Type, int> s_slots =
        s_types.Select(static (type, index) => (type, index)).ToDictionary(static pair => pair.type, static pair => pair.index);

    internal static int Count => s_types.Length;

    internal static Type TypeOf(int slot) => s_types[slot];

    /// <summary>The place of a feature; -1 for one that is not known here.</summary>
    internal static int Of(Type type) => s_slots.TryGetValue(type, out var slot) ? slot : -1;
}

/// <summary>The place of a feature that is asked for by its type.</summary>
internal static class SlotOf<TFeature>
{
    internal static readonly int Index = Slot.Of(typeof(TFeature));
}

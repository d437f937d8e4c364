using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Polyhost.AspNetCore;

/// <summary>Kestrel's features for limits on slow clients, for applications that set them.</summary>
/// <remarks>Found by name, so that Kestrel's assembly is loaded only where an application knows it.</remarks>
internal static class DataRates
{
    internal static object? Feature(RequestContext context, Type type) => type.Name switch
    {
        nameof(IHttpMinRequestBodyDataRateFeature) => Request(context, type),
        nameof(IHttpMinResponseDataRateFeature) => Response(context, type),
        _ => null,
    };

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static RequestRate? Request(RequestContext context, Type type) =>
        type == typeof(IHttpMinRequestBodyDataRateFeature) ? new RequestRate(context) : null;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ResponseRate? Response(RequestContext context, Type type) =>
        type == typeof(IHttpMinResponseDataRateFeature) ? new ResponseRate(context) : null;

    private static MinDataRate? Rate((double BytesPerSecond, TimeSpan Grace)? limit) =>
        limit is { } rate ? new MinDataRate(rate.BytesPerSecond, rate.Grace) : null;

    private sealed class RequestRate(RequestContext context) : IHttpMinRequestBodyDataRateFeature
    {
        private MinDataRate? _rate = Rate(context.Server.Options.MinRequestBodyDataRate);

        public MinDataRate? MinDataRate
        {
            get => _rate;
            set
            {
                _rate = value;
                Native.SetMinBodyRate(context.Exchange, value?.BytesPerSecond ?? 0, value?.GracePeriod ?? default);
            }
        }
    }

    private sealed class ResponseRate(RequestContext context) : IHttpMinResponseDataRateFeature
    {
        private MinDataRate? _rate = Rate(context.Server.Options.MinResponseDataRate);

        public MinDataRate? MinDataRate
        {
            get => _rate;
            set
            {
                _rate = value;
                Native.SetMinResponseRate(context.Exchange, value?.BytesPerSecond ?? 0, value?.GracePeriod ?? default);
            }
        }
    }
}

using Microsoft.Net.Http.Headers;

namespace Polyhost.AspNetCore;

/// <summary>The names of request headers that the host knows by number.</summary>
internal static class KnownHeaders
{
    internal const int Host = 0;

    /// <summary>In the order of the host's list. ASP.NET's own strings, where it has one: they are compared by
    /// reference first.</summary>
    internal static readonly string[] Names =
    [
        HeaderNames.Host, HeaderNames.UserAgent, HeaderNames.Accept, HeaderNames.AcceptEncoding,
        HeaderNames.AcceptLanguage, HeaderNames.Connection, HeaderNames.ContentLength, HeaderNames.ContentType,
        HeaderNames.Cookie, HeaderNames.Authorization, HeaderNames.CacheControl, HeaderNames.Pragma,
        HeaderNames.Origin, HeaderNames.Referer, HeaderNames.IfNoneMatch, HeaderNames.IfModifiedSince,
        HeaderNames.IfMatch, HeaderNames.IfUnmodifiedSince, HeaderNames.IfRange, HeaderNames.Range,
        HeaderNames.Upgrade, HeaderNames.UpgradeInsecureRequests, HeaderNames.SecWebSocketKey,
        HeaderNames.SecWebSocketVersion, HeaderNames.SecWebSocketProtocol, HeaderNames.SecWebSocketExtensions,
        HeaderNames.TransferEncoding, HeaderNames.Expect, HeaderNames.TE, HeaderNames.Trailer, HeaderNames.Date,
        HeaderNames.Via, "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", HeaderNames.XRequestedWith,
        HeaderNames.TraceParent, HeaderNames.TraceState, HeaderNames.Baggage, "DNT",
    ];
}

using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Polyhost.AspNetCore;

// What the host knows by number is found by it. The interface's own properties look for the name.
internal sealed unsafe partial class RequestHeaders
{
    StringValues IHeaderDictionary.Host
    {
        get => Known(1);
        set => SetKnown(1, value);
    }

    StringValues IHeaderDictionary.UserAgent
    {
        get => Known(2);
        set => SetKnown(2, value);
    }

    StringValues IHeaderDictionary.Accept
    {
        get => Known(3);
        set => SetKnown(3, value);
    }

    StringValues IHeaderDictionary.AcceptEncoding
    {
        get => Known(4);
        set => SetKnown(4, value);
    }

    StringValues IHeaderDictionary.AcceptLanguage
    {
        get => Known(5);
        set => SetKnown(5, value);
    }

    StringValues IHeaderDictionary.Connection
    {
        get => Known(6);
        set => SetKnown(6, value);
    }

    StringValues IHeaderDictionary.ContentType
    {
        get => Known(8);
        set => SetKnown(8, value);
    }

    StringValues IHeaderDictionary.Cookie
    {
        get => Known(9);
        set => SetKnown(9, value);
    }

    StringValues IHeaderDictionary.Authorization
    {
        get => Known(10);
        set => SetKnown(10, value);
    }

    StringValues IHeaderDictionary.CacheControl
    {
        get => Known(11);
        set => SetKnown(11, value);
    }

    StringValues IHeaderDictionary.Pragma
    {
        get => Known(12);
        set => SetKnown(12, value);
    }

    StringValues IHeaderDictionary.Origin
    {
        get => Known(13);
        set => SetKnown(13, value);
    }

    StringValues IHeaderDictionary.Referer
    {
        get => Known(14);
        set => SetKnown(14, value);
    }

    StringValues IHeaderDictionary.IfNoneMatch
    {
        get => Known(15);
        set => SetKnown(15, value);
    }

    StringValues IHeaderDictionary.IfModifiedSince
    {
        get => Known(16);
        set => SetKnown(16, value);
    }

    StringValues IHeaderDictionary.IfMatch
    {
        get => Known(17);
        set => SetKnown(17, value);
    }

    StringValues IHeaderDictionary.IfUnmodifiedSince
    {
        get => Known(18);
        set => SetKnown(18, value);
    }

    StringValues IHeaderDictionary.IfRange
    {
        get => Known(19);
        set => SetKnown(19, value);
    }

    StringValues IHeaderDictionary.Range
    {
        get => Known(20);
        set => SetKnown(20, value);
    }

    StringValues IHeaderDictionary.Upgrade
    {
        get => Known(21);
        set => SetKnown(21, value);
    }

    StringValues IHeaderDictionary.UpgradeInsecureRequests
    {
        get => Known(22);
        set => SetKnown(22, value);
    }

    StringValues IHeaderDictionary.SecWebSocketKey
    {
        get => Known(23);
        set => SetKnown(23, value);
    }

    StringValues IHeaderDictionary.SecWebSocketVersion
    {
        get => Known(24);
        set => SetKnown(24, value);
    }

    StringValues IHeaderDictionary.SecWebSocketProtocol
    {
        get => Known(25);
        set => SetKnown(25, value);
    }

    StringValues IHeaderDictionary.SecWebSocketExtensions
    {
        get => Known(26);
        set => SetKnown(26, value);
    }

    StringValues IHeaderDictionary.TransferEncoding
    {
        get => Known(27);
        set => SetKnown(27, value);
    }

    StringValues IHeaderDictionary.Expect
    {
        get => Known(28);
        set => SetKnown(28, value);
    }

    StringValues IHeaderDictionary.TE
    {
        get => Known(29);
        set => SetKnown(29, value);
    }

    StringValues IHeaderDictionary.Trailer
    {
        get => Known(30);
        set => SetKnown(30, value);
    }

    StringValues IHeaderDictionary.Date
    {
        get => Known(31);
        set => SetKnown(31, value);
    }

    StringValues IHeaderDictionary.Via
    {
        get => Known(32);
        set => SetKnown(32, value);
    }

    StringValues IHeaderDictionary.XRequestedWith
    {
        get => Known(36);
        set => SetKnown(36, value);
    }

    StringValues IHeaderDictionary.TraceParent
    {
        get => Known(37);
        set => SetKnown(37, value);
    }

    StringValues IHeaderDictionary.TraceState
    {
        get => Known(38);
        set => SetKnown(38, value);
    }

    StringValues IHeaderDictionary.Baggage
    {
        get => Known(39);
        set => SetKnown(39, value);
    }

    private StringValues Known(uint number)
    {
        var name = KnownHeaders.Names[number - 1];
        return _isOwn ? _own[name] : Find(number, name);
    }

    private void SetKnown(uint number, StringValues value) => Own()[KnownHeaders.Names[number - 1]] = value;
}

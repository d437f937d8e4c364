using System.Text;
using Microsoft.AspNetCore.Http;

namespace Polyhost.AspNetCore;

// Encodings that the application has chosen for some of its clients' headers.
internal sealed unsafe partial class RequestHeaders
{
    /// <summary>Decodes all of them where the application has a say, for the host lets every byte through then: a request
    /// that it can't read is refused, as Kestrel does.</summary>
    internal BadHttpRequestException? FindUnreadable() => encoding is null ? null : Check();

    internal string Decode(string name, ReadOnlySpan<byte> bytes)
    {
        if (encoding?.Invoke(name) is not { } chosen)
        {
            return bytes.IsEmpty ? "" : RequestContext.DecodeUtf8(bytes);
        }
        try
        {
            var text = chosen.GetString(bytes);
            return text.AsSpan().IndexOfAny('\r', '\n', '\0') < 0 ? text : throw new BadHttpRequestException(Messages.InvalidHeaders);
        }
        catch (DecoderFallbackException)
        {
            throw new BadHttpRequestException(Messages.InvalidHeaders);
        }
    }

    private BadHttpRequestException? Check()
    {
        try
        {
            var request = Open(out var headers, out var count);
            for (var i = 0; i < count; i++)
            {
                Value(ref headers[i], i, request);
            }
            return null;
        }
        catch (BadHttpRequestException e)
        {
            return e;
        }
    }
}

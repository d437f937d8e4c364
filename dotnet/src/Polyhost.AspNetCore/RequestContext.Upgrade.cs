using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Polyhost.AspNetCore;

internal abstract partial class RequestContext : IHttpUpgradeFeature
{
    /// <summary>Whether the connection speaks another protocol now: bytes both ways, as they come.</summary>
    internal bool IsUpgraded { get; private set; }

    internal bool IsUpgradable => (_request.Flags & RequestFlags.Upgrade) != 0;

    bool IHttpUpgradeFeature.IsUpgradableRequest => IsUpgradable;

    async Task<Stream> IHttpUpgradeFeature.UpgradeAsync()
    {
        if (!IsUpgradable)
        {
            throw new InvalidOperationException(Messages.NotUpgradable);
        }
        if (IsUpgraded)
        {
            throw new InvalidOperationException(Messages.UpgradedTwice);
        }
        ThrowIfStarted("StatusCode");
        _statusCode = StatusCodes.Status101SwitchingProtocols;
        _reasonPhrase = null;
        _responseHeaders.Connection = "Upgrade";
        await StartResponse(0);
        IsUpgraded = true;
        _writer.SendPending(SendFlags.Upgrade);
        _reader.Begin(hasBody: true);
        return new UpgradeStream(_requestStream, _responseStream);
    }
}

using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Polyhost.AspNetCore;

internal abstract partial class RequestContext : IHttpUpgradeFeature, IHttpExtendedConnectFeature
{
    /// <summary>What the client sends after the upgrade; the request's own body stays the empty one.</summary>
    private RequestBodyReader? _upgradedReader;
    private RequestBodyStream? _upgradedStream;

    /// <summary>Whether the connection speaks another protocol now: bytes both ways, as they come.</summary>
    internal bool IsUpgraded { get; private set; }

    internal bool IsUpgradable => (_request.Flags & RequestFlags.Upgrade) != 0;

    bool IHttpUpgradeFeature.IsUpgradableRequest => IsUpgradable;

    /// <summary>Only HTTP/2 has it.</summary>
    bool IHttpExtendedConnectFeature.IsExtendedConnect => false;

    string? IHttpExtendedConnectFeature.Protocol => null;

    ValueTask<Stream> IHttpExtendedConnectFeature.AcceptAsync() =>
        throw new InvalidOperationException(Messages.NotExtendedConnect);

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
        IsUpgraded = true;
        Native.RequestClose(Exchange);
        _statusCode = StatusCodes.Status101SwitchingProtocols;
        _reasonPhrase = null;
        _responseHeaders.Connection = "Upgrade";
        await StartResponse(0);
        _writer.SendPending(SendFlags.Upgrade);
        _upgradedReader ??= new RequestBodyReader(this);
        _upgradedStream ??= new RequestBodyStream(this, _upgradedReader);
        _upgradedReader.Begin(hasBody: true);
        return new UpgradeStream(_upgradedStream, _responseStream);
    }
}

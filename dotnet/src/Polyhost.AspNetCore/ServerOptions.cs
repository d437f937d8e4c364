using System.Text;

namespace Polyhost.AspNetCore;

/// <summary>What the application has asked of its server, with Kestrel's defaults.</summary>
/// <remarks>Fields: thirty accessors took longer to compile than the server to start.</remarks>
internal sealed class ServerOptions
{
    internal bool AllowSynchronousIO;

    internal bool AddServerHeader = true;

    internal bool DisableStringReuse;

    /// <summary>The encoding of a request's header by its name; none, for the function or for the header, is UTF-8.</summary>
    internal Func<string, Encoding?>? RequestHeaderEncoding;

    /// <summary>The same of a response, where none is ASCII.</summary>
    internal Func<string, Encoding?>? ResponseHeaderEncoding;

    /// <summary>None for no limit.</summary>
    internal long? MaxRequestBodySize = 30_000_000;

    /// <summary>Bytes of a response that wait for the client before a flush does.</summary>
    internal long? MaxResponseBufferSize = 64 * 1024;

    internal int MaxRequestLineSize = 8 * 1024;

    internal int MaxRequestHeadersTotalSize = 32 * 1024;

    internal int MaxRequestHeaderCount = 100;

    internal long? MaxConcurrentConnections;

    internal TimeSpan KeepAliveTimeout = TimeSpan.FromSeconds(130);

    internal TimeSpan RequestHeadersTimeout = TimeSpan.FromSeconds(30);

    /// <summary>Bytes a second, and how long a client may take to reach them; none for no limit.</summary>
    internal (double BytesPerSecond, TimeSpan Grace)? MinRequestBodyDataRate = (240, TimeSpan.FromSeconds(5));

    internal (double BytesPerSecond, TimeSpan Grace)? MinResponseDataRate = (240, TimeSpan.FromSeconds(5));

    /// <summary>Where Kestrel would listen by its own settings, in code or configuration.</summary>
    internal List<string> Endpoints = [];

    /// <summary>What was set for Kestrel and failed, in words.</summary>
    internal List<string> Ignored = [];
}

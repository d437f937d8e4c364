using System.Text;

namespace Polyhost.AspNetCore;

/// <summary>What the application has asked of its server, with Kestrel's defaults.</summary>
internal sealed class ServerOptions
{
    internal bool AllowSynchronousIO { get; set; }

    internal bool AddServerHeader { get; set; } = true;

    internal bool DisableStringReuse { get; set; }

    /// <summary>The encoding of a request's header by its name; none, for the function or for the header, is UTF-8.</summary>
    internal Func<string, Encoding?>? RequestHeaderEncoding { get; set; }

    /// <summary>The same of a response, where none is ASCII.</summary>
    internal Func<string, Encoding?>? ResponseHeaderEncoding { get; set; }

    /// <summary>None for no limit.</summary>
    internal long? MaxRequestBodySize { get; set; } = 30_000_000;

    /// <summary>Bytes of a response that wait for the client before a flush does.</summary>
    internal long? MaxResponseBufferSize { get; set; } = 64 * 1024;

    internal int MaxRequestLineSize { get; set; } = 8 * 1024;

    internal int MaxRequestHeadersTotalSize { get; set; } = 32 * 1024;

    internal int MaxRequestHeaderCount { get; set; } = 100;

    internal long? MaxConcurrentConnections { get; set; }

    internal TimeSpan KeepAliveTimeout { get; set; } = TimeSpan.FromSeconds(130);

    internal TimeSpan RequestHeadersTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Bytes a second, and how long a client may take to reach them; none for no limit.</summary>
    internal (double BytesPerSecond, TimeSpan Grace)? MinRequestBodyDataRate { get; set; } = (240, TimeSpan.FromSeconds(5));

    internal (double BytesPerSecond, TimeSpan Grace)? MinResponseDataRate { get; set; } = (240, TimeSpan.FromSeconds(5));

    /// <summary>Where Kestrel would listen by its own settings, in code or configuration.</summary>
    internal List<string> Endpoints { get; } = [];

    /// <summary>What was set for Kestrel and failed, in words.</summary>
    internal List<string> Ignored { get; } = [];
}

using System.Diagnostics.CodeAnalysis;
using System.IO.Pipelines;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Polyhost.AspNetCore;

internal abstract partial class RequestContext
    : IHttpRequestFeature, IRequestBodyPipeFeature, IHttpRequestBodyDetectionFeature, IHttpBodyControlFeature,
    IHttpMaxRequestBodySizeFeature, IHttpRequestTrailersFeature
{
    /// <summary>The text of the last request that asked for it, and whether it is this request's.</summary>
    private HeadText _path;
    private HeadText _query;
    private HeadText _target;
    private HeadText _method;

    private string? _pathBase;
    private string? _scheme;
    private string? _protocol;
    private Stream? _givenRequestBody;
    private Stream? _givenReaderStream;
    private PipeReader? _givenReader;
    private long? _maxRequestBodySize;
    private HeaderDictionary? _trailers;

    private struct HeadText
    {
        internal string Text;
        internal bool IsMade;
    }

    internal IHeaderDictionary RequestHeaders { get; set; }

    internal bool AllowSynchronousIO { get; set; }

    internal bool HasBody => (_request.Flags & RequestFlags.HasBody) != 0;

    /// <summary>The limit on the body, for the text of an error.</summary>
    internal long? MaxRequestBodySize => _maxRequestBodySize;

    bool IHttpRequestBodyDetectionFeature.CanHaveBody => HasBody;

    bool IHttpBodyControlFeature.AllowSynchronousIO
    {
        get => AllowSynchronousIO;
        set => AllowSynchronousIO = value;
    }

    IHeaderDictionary IHttpRequestFeature.Headers
    {
        get => RequestHeaders;
        set => RequestHeaders = value;
    }

    string IHttpRequestFeature.Method
    {
        get => _method.IsMade ? _method.Text : MakeMethod();
        set => Set(ref _method, value);
    }

    string IHttpRequestFeature.Path
    {
        get => _path.IsMade ? _path.Text : Make(ref _path, ref _request.Path);
        set => Set(ref _path, value);
    }

    string IHttpRequestFeature.QueryString
    {
        get => _query.IsMade ? _query.Text : Make(ref _query, ref _request.Query);
        set => Set(ref _query, value);
    }

    string IHttpRequestFeature.RawTarget
    {
        get => _target.IsMade ? _target.Text : MakeTarget();
        set => Set(ref _target, value);
    }

    string IHttpRequestFeature.PathBase
    {
        get => _pathBase ?? "";
        set => _pathBase = value;
    }

    string IHttpRequestFeature.Scheme
    {
        get => _scheme ?? ((_request.Flags & RequestFlags.Tls) != 0 ? "https" : "http");
        set => _scheme = value;
    }

    string IHttpRequestFeature.Protocol
    {
        get => _protocol ?? _request.Version switch
        {
            10 => HttpProtocol.Http10,
            20 => HttpProtocol.Http2,
            _ => HttpProtocol.Http11,
        };
        set => _protocol = value;
    }

    Stream IHttpRequestFeature.Body
    {
        get => _givenRequestBody ?? _requestStream;
        set => _givenRequestBody = value;
    }

    /// <summary>A stream that the application has put before ours is read through.</summary>
    PipeReader IRequestBodyPipeFeature.Reader => ReaderOf(_givenRequestBody);

    bool IHttpMaxRequestBodySizeFeature.IsReadOnly => _reader.HasStarted || IsUpgraded;

    long? IHttpMaxRequestBodySizeFeature.MaxRequestBodySize
    {
        get => _maxRequestBodySize;
        set
        {
            if (_reader.HasStarted)
            {
                throw new InvalidOperationException(Messages.MaxBodyAfterRead);
            }
            if (IsUpgraded)
            {
                throw new InvalidOperationException(Messages.MaxBodyAfterUpgrade);
            }
            if (value < 0)
            {
                throw new ArgumentOutOfRangeException(nameof(value), Messages.NonNegativeNumberOrNull);
            }
            _maxRequestBodySize = value;
            Native.SetMaxBody(Exchange, value);
        }
    }

    bool IHttpRequestTrailersFeature.Available => !HasBody || _reader.HasEnded;

    IHeaderDictionary IHttpRequestTrailersFeature.Trailers
    {
        get
        {
            if (!((IHttpRequestTrailersFeature)this).Available)
            {
                throw new InvalidOperationException(Messages.TrailersNotAvailable);
            }
            return _trailers ??= ReadTrailers();
        }
    }

    /// <summary>Decodes text of the head, or gives <paramref name="previous"/> where it says the same.</summary>
    /// <remarks>
    /// Who has kept the context may be here when its request is over and the next one's head is being written to the
    /// same memory. That memory is never freed; so the place is read, and followed only if the request was still this
    /// one after that; and the text is given out only if it still is.
    /// </remarks>
    internal unsafe string Decode(ref Slice place, string? previous, long request)
    {
        var data = (byte*)Volatile.Read(ref place.Address);
        var length = Volatile.Read(ref place.Length);
        Verify(request);
        var bytes = new ReadOnlySpan<byte>(data, checked((int)length));
        if (previous is null || !Ascii.Equals(bytes, previous) || Server.Options.DisableStringReuse)
        {
            previous = bytes.IsEmpty ? "" : DecodeUtf8(bytes);
        }
        Verify(request);
        return previous;
    }

    /// <summary>What tells the request that is in here from all others, or an error when there is none.</summary>
    internal long Current()
    {
        var request = Identity;
        if (request == 0)
        {
            ThrowEnded();
        }
        return request;
    }

    internal void Verify(long request)
    {
        if (Identity != request)
        {
            ThrowEnded();
        }
    }

    internal unsafe void GetHeaders(out Header* headers, out uint count)
    {
        headers = _request.Headers;
        count = _request.HeaderCount;
    }

    internal long? RequestContentLength => _request.ContentLength >= 0 ? _request.ContentLength : null;

    /// <summary>As above, in the encoding that the application has chosen.</summary>
    internal unsafe string Decode(ref Slice place, RequestHeaders headers, string name, long request)
    {
        var data = (byte*)Volatile.Read(ref place.Address);
        var length = Volatile.Read(ref place.Length);
        Verify(request);
        var text = headers.Decode(name, new ReadOnlySpan<byte>(data, checked((int)length)));
        Verify(request);
        return text;
    }

    internal static string DecodeUtf8(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return s_utf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw new BadHttpRequestException(Messages.InvalidHeaders);
        }
    }

    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private void ResetRequest()
    {
        _path.IsMade = false;
        _query.IsMade = false;
        _target.IsMade = false;
        _method.IsMade = false;
        _pathBase = null;
        _scheme = null;
        _protocol = null;
        _givenRequestBody = null;
        _givenReaderStream = null;
        _givenReader = null;
        _trailers = null;
        _traceIdentifier = null;
        _changes = null;
        _maxRequestBodySize = Server.Options.MaxRequestBodySize;
        AllowSynchronousIO = Server.Options.AllowSynchronousIO;
        _requestHeaders.Reset();
        RequestHeaders = _requestHeaders;
        _reader.Begin(HasBody && (_request.Flags & RequestFlags.Upgrade) == 0);
    }

    private PipeReader ReaderOf(Stream? given)
    {
        if (given is null || ReferenceEquals(given, _requestStream))
        {
            return _reader;
        }
        if (_givenReader is null || !ReferenceEquals(_givenReaderStream, given))
        {
            var reader = PipeReader.Create(given, new StreamPipeReaderOptions(leaveOpen: true));
            ((IHttpResponseFeature)this).OnCompleted(
                static reader =>
                {
                    ((PipeReader)reader).Complete();
                    return Task.CompletedTask;
                },
                reader);
            _givenReader = reader;
            _givenReaderStream = given;
        }
        return _givenReader;
    }

    private static void Set(ref HeadText text, string value)
    {
        text.Text = value;
        text.IsMade = true;
    }

    private string Make(ref HeadText text, ref Slice slice)
    {
        text.Text = Decode(ref slice, text.Text, Current());
        text.IsMade = true;
        return text.Text;
    }

    private string MakeMethod()
    {
        var index = _request.Method - 1;
        if ((uint)index >= (uint)Methods.Length)
        {
            return Make(ref _method, ref _request.MethodText);
        }
        Set(ref _method, Methods[index]);
        return _method.Text;
    }

    private string MakeTarget()
    {
        if (_request.Target.Length == _request.Path.Length && _path.IsMade)
        {
            // Mostly the path itself.
            _target.Text = _path.Text;
        }
        return Make(ref _target, ref _request.Target);
    }

    private HeaderDictionary ReadTrailers()
    {
        var trailers = new HeaderDictionary();
        if (HasBody && Native.RequestTrailers(Exchange, out var packed))
        {
            foreach (var (name, value) in PackedHeaders.ReadBytes(packed))
            {
                trailers.Append(name, _requestHeaders.Decode(name, value));
            }
        }
        return trailers;
    }

    [DoesNotReturn]
    private static void ThrowEnded() => throw new ObjectDisposedException("HttpContext", Messages.RequestEnded);
}

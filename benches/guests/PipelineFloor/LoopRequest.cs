using System.Collections;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Hosting.Server.Abstractions;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace PipelineFloor;

/// <summary>
/// The least that hosting and a small endpoint need of a server: one object that is every feature, is used again for
/// each request, and has hosting use its own context again.
/// </summary>
internal sealed class LoopRequest<TContext> : IFeatureCollection, IHostContextContainer<TContext>, IHttpRequestFeature,
    IHttpResponseFeature, IHttpResponseBodyFeature, IHttpRequestLifetimeFeature, IHttpRequestIdentifierFeature
    where TContext : notnull
{
    private static readonly byte[] s_expected = "text"u8.ToArray();

    /// <summary>What the pipeline has set. There are few, so that looking at each is quicker than hashing.</summary>
    private readonly (Type Type, object? Feature)[] _set = new (Type, object?)[16];
    private readonly HeaderDictionary _requestHeaders = new() { ["Host"] = "127.0.0.1:5000" };
    private readonly HeaderDictionary _responseHeaders = [];
    private readonly FixedWriter _writer = new();
    private int _count;
    private IHeaderDictionary? _otherRequestHeaders;
    private IHeaderDictionary? _otherResponseHeaders;
    private Stream? _stream;

    TContext? IHostContextContainer<TContext>.HostContext { get; set; }

    internal void Reset()
    {
        Array.Clear(_set, 0, _count);
        _count = 0;
        Revision = 0;
        _responseHeaders.Clear();
        _otherRequestHeaders = null;
        _otherResponseHeaders = null;
        _writer.Reset();
        StatusCode = 200;
        HasStarted = false;
        Path = "/text";
        PathBase = "";
    }

    /// <summary>Whether the application has answered as it should.</summary>
    internal void Check()
    {
        if (StatusCode != 200 || !_writer.Written.SequenceEqual(s_expected))
        {
            throw new InvalidOperationException($"the application answers {StatusCode}");
        }
    }

    // The collection.
    public int Revision { get; private set; }

    public bool IsReadOnly => false;

    public object? this[Type key]
    {
        get
        {
            if (key == typeof(IHttpRequestFeature) || key == typeof(IHttpResponseFeature)
                || key == typeof(IHttpResponseBodyFeature) || key == typeof(IHttpRequestLifetimeFeature)
                || key == typeof(IHttpRequestIdentifierFeature))
            {
                return this;
            }
            foreach (var (type, feature) in _set.AsSpan(0, _count))
            {
                if (type == key)
                {
                    return feature;
                }
            }
            return null;
        }

        set
        {
            Revision++;
            foreach (ref var it in _set.AsSpan(0, _count))
            {
                if (it.Type == key)
                {
                    it.Feature = value;
                    return;
                }
            }
            _set[_count++] = (key, value);
        }
    }

    public TFeature? Get<TFeature>() => (TFeature?)this[typeof(TFeature)];

    public void Set<TFeature>(TFeature? instance) => this[typeof(TFeature)] = instance;

    public IEnumerator<KeyValuePair<Type, object>> GetEnumerator()
    {
        for (var i = 0; i < _count; i++)
        {
            if (_set[i] is (var type, { } feature))
            {
                yield return new KeyValuePair<Type, object>(type, feature);
            }
        }
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    // The request.
    public string Protocol { get; set; } = "HTTP/1.1";

    public string Scheme { get; set; } = "http";

    public string Method { get; set; } = "GET";

    public string PathBase { get; set; } = "";

    public string Path { get; set; } = "";

    public string QueryString { get; set; } = "";

    public string RawTarget { get; set; } = "/text";

    IHeaderDictionary IHttpRequestFeature.Headers
    {
        get => _otherRequestHeaders ?? _requestHeaders;
        set => _otherRequestHeaders = value;
    }

    Stream IHttpRequestFeature.Body { get; set; } = Stream.Null;

    public string TraceIdentifier { get; set; } = "loop";

    public CancellationToken RequestAborted { get; set; }

    public void Abort() => throw new InvalidOperationException("the application aborts");

    // The response.
    public int StatusCode { get; set; }

    public string? ReasonPhrase { get; set; }

    public bool HasStarted { get; private set; }

    IHeaderDictionary IHttpResponseFeature.Headers
    {
        get => _otherResponseHeaders ?? _responseHeaders;
        set => _otherResponseHeaders = value;
    }

    Stream IHttpResponseFeature.Body
    {
        get => Stream;
        set => throw new NotSupportedException("the endpoint sets another body");
    }

    public Stream Stream => _stream ??= _writer.AsStream();

    public PipeWriter Writer => _writer;

    public void OnStarting(Func<object, Task> callback, object state) =>
        throw new NotSupportedException("the endpoint waits for its response to start");

    public void OnCompleted(Func<object, Task> callback, object state) =>
        throw new NotSupportedException("the endpoint waits for its response to end");

    public void DisableBuffering()
    {
    }

    public Task StartAsync(CancellationToken cancellationToken = default)
    {
        HasStarted = true;
        return Task.CompletedTask;
    }

    public Task CompleteAsync() => Task.CompletedTask;

    public Task SendFileAsync(string path, long offset, long? count, CancellationToken cancellationToken = default) =>
        throw new NotSupportedException("the endpoint sends a file");
}

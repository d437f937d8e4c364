using System.Runtime.InteropServices;
using System.Text;

namespace Polyhost.AspNetCore.Tests;

/// <summary>A connection of a client to an application: its requests use one context after the other.</summary>
internal sealed unsafe class FakeConnection : IDisposable
{
    private static long s_ids;
    private static int s_generations;

    private readonly uint _app;
    private readonly Connection* _connection;

    /// <summary>Written over by each request, never freed while requests may be looked at.</summary>
    private readonly byte* _arena = (byte*)NativeMemory.AllocZeroed(64 * 1024);
    private int _used;
    private uint _context;

    internal FakeConnection(uint app)
    {
        _app = app;
        _connection = (Connection*)NativeMemory.AllocZeroed((nuint)sizeof(Connection));
        _connection->Id = (ulong)Interlocked.Increment(ref s_ids);
        var addresses = (byte*)NativeMemory.Alloc(8);
        new byte[] { 127, 0, 0, 1, 10, 0, 0, 7 }.CopyTo(new Span<byte>(addresses, 8));
        _connection->LocalAddress = new Slice(addresses, 4);
        _connection->RemoteAddress = new Slice(addresses + 4, 4);
        _connection->LocalPort = 80;
        _connection->RemotePort = 50_000;
    }

    internal ulong Id => _connection->Id;

    internal FakeExchange Get(string path, params (string Name, string Value)[] headers) =>
        Begin("GET", path, RequestFlags.Inline | RequestFlags.KeepAlive, headers);

    internal FakeExchange Post(string path, RequestFlags flags = RequestFlags.Inline, FakeExchange? exchange = null) =>
        Begin("POST", path, flags | RequestFlags.HasBody, [("Content-Type", "text/plain")], exchange);

    internal FakeExchange Begin(
        string method, string target, RequestFlags flags, (string Name, string Value)[] headers,
        FakeExchange? exchange = null)
    {
        exchange ??= new FakeExchange();
        if (_context == 0)
        {
            _context = FakeHost.Callbacks->RentContext(_app, _connection);
        }
        var request = Head(method, target, flags, headers);
        if (exchange.Generation == 0)
        {
            exchange.Generation = (uint)Interlocked.Increment(ref s_generations);
        }
        exchange.Context = _context;
        request.Slot = FakeHost.Add(exchange);
        request.Generation = exchange.Generation;
        request.Context = _context;
        FakeHost.Callbacks->Request(_app, &request);
        return exchange;
    }

    internal Request Head(
        string method, string target, RequestFlags flags, (string Name, string Value)[] headers)
    {
        _used = 0;
        var query = target.IndexOf('?') is >= 0 and var at ? at : target.Length;
        var lines = (Header*)(_arena + (32 * 1024));
        for (var i = 0; i < headers.Length; i++)
        {
            var known = Array.FindIndex(
                KnownHeaders.Names, name => name.Equals(headers[i].Name, StringComparison.OrdinalIgnoreCase));
            lines[i] = new Header { Known = (uint)(known + 1), Name = Put(headers[i].Name), Value = Put(headers[i].Value) };
        }
        var length = headers.FirstOrDefault(header => header.Name == "Content-Length").Value;
        return new Request
        {
            Size = (uint)sizeof(Request),
            Flags = flags,
            Method = (byte)(Array.IndexOf(RequestContext.Methods, method) + 1),
            Version = 11,
            HeaderCount = (uint)headers.Length,
            ContentLength = length is null ? -1 : long.Parse(length),
            MethodText = Put(method),
            Target = Put(target),
            Path = Put(Uri.UnescapeDataString(target[..query])),
            Query = Put(target[query..]),
            Headers = lines,
            Connection = _connection,
        };
    }

    /// <summary>The connection is closed. Its head stays where it is: the application may have kept a context.</summary>
    public void Dispose()
    {
        if (_context != 0)
        {
            FakeHost.Callbacks->ReleaseContext(_context);
            _context = 0;
        }
    }

    private Slice Put(string text)
    {
        var length = Encoding.UTF8.GetBytes(text, new Span<byte>(_arena + _used, (32 * 1024) - _used));
        var slice = new Slice(_arena + _used, (nuint)length);
        _used += length;
        return slice;
    }
}

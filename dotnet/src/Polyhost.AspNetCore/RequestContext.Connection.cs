using System.Net;
using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;

namespace Polyhost.AspNetCore;

internal abstract partial class RequestContext
    : IHttpConnectionFeature, IHttpRequestIdentifierFeature, IConnectionIdFeature, IConnectionItemsFeature,
    IPersistentStateFeature
{
    /// <summary>What is known of the connection; kept until it closes.</summary>
    private ulong _connection;
    private uint _requestNumber;
    private string? _connectionId;
    private IPAddress? _remoteAddress;
    private IPAddress? _localAddress;
    private bool _hasAddresses;
    private IDictionary<object, object?>? _items;
    private Dictionary<object, object?>? _persistent;

    /// <summary>What the application has put in their place, for one request.</summary>
    private ConnectionChanges? _changes;
    private string? _traceIdentifier;

    private sealed class ConnectionChanges
    {
        internal string? ConnectionId;
        internal (IPAddress? Address, bool IsSet) Remote;
        internal (IPAddress? Address, bool IsSet) Local;
        internal int? RemotePort;
        internal int? LocalPort;
    }

    internal string ConnectionId => _connectionId ??= Identify(_connection);

    internal string TraceIdentifier => _traceIdentifier ??= $"{ConnectionId}:{_requestNumber:X8}";

    string IHttpRequestIdentifierFeature.TraceIdentifier
    {
        get => TraceIdentifier;
        set => _traceIdentifier = value;
    }

    string IHttpConnectionFeature.ConnectionId
    {
        get => _changes?.ConnectionId ?? ConnectionId;
        set => Changes.ConnectionId = value;
    }

    IPAddress? IHttpConnectionFeature.RemoteIpAddress
    {
        get => _changes is { Remote.IsSet: true } changes ? changes.Remote.Address : Address(ref _remoteAddress);
        set => Changes.Remote = (value, true);
    }

    IPAddress? IHttpConnectionFeature.LocalIpAddress
    {
        get => _changes is { Local.IsSet: true } changes ? changes.Local.Address : Address(ref _localAddress);
        set => Changes.Local = (value, true);
    }

    int IHttpConnectionFeature.RemotePort
    {
        get => _changes?.RemotePort ?? _remotePort;
        set => Changes.RemotePort = value;
    }

    int IHttpConnectionFeature.LocalPort
    {
        get => _changes?.LocalPort ?? _localPort;
        set => Changes.LocalPort = value;
    }

    string IConnectionIdFeature.ConnectionId
    {
        get => ConnectionId;
        set => _connectionId = value;
    }

    IDictionary<object, object?> IConnectionItemsFeature.Items
    {
        get => _items ??= new ConnectionItems();
        set => _items = value;
    }

    IDictionary<object, object?> IPersistentStateFeature.State => _persistent ??= [];

    private ConnectionChanges Changes => _changes ??= new ConnectionChanges();

    private ushort _remotePort;
    private ushort _localPort;

    /// <summary>Sixteen bytes each, for addresses that are wanted after the connection has closed.</summary>
    private AddressBytes _remoteBytes;
    private AddressBytes _localBytes;

    [InlineArray(16)]
    private struct AddressBuffer
    {
        private byte _first;
    }

    private struct AddressBytes
    {
        internal AddressBuffer Buffer;
        internal int Length;

        internal void Set(in Slice slice)
        {
            Length = slice.Length is 4 or 16 ? (int)slice.Length : 0;
            if (Length > 0)
            {
                slice.Span.CopyTo(Buffer);
            }
        }

        internal readonly IPAddress? ToAddress() =>
            Length == 0 ? null : new IPAddress(((ReadOnlySpan<byte>)Buffer)[..Length]);
    }

    /// <summary>Begins a connection.</summary>
    internal unsafe void Bind(Connection* connection)
    {
        _connection = connection->Id;
        _requestNumber = connection->Earlier;
        _remotePort = connection->RemotePort;
        _localPort = connection->LocalPort;
        _remoteBytes.Set(connection->RemoteAddress);
        _localBytes.Set(connection->LocalAddress);
    }

    /// <summary>The connection is closed. Gives back the memory for the next, which this never writes to again.</summary>
    internal ConnectionMemory Unbind()
    {
        CloseConnectionToken();
        return new ConnectionMemory(_lines, _writer.Own, _responseHeaders.Packed);
    }

    private IPAddress? Address(ref IPAddress? address)
    {
        if (!_hasAddresses)
        {
            _remoteAddress = _remoteBytes.ToAddress();
            _localAddress = _localBytes.ToAddress();
            Volatile.Write(ref _hasAddresses, true);
        }
        return address;
    }

    /// <summary>An id as Kestrel writes it: 13 digits of five bits.</summary>
    private static string Identify(ulong id) => string.Create(13, id, static (text, id) =>
    {
        for (var i = 0; i < text.Length; i++)
        {
            text[i] = "0123456789ABCDEFGHIJKLMNOPQRSTUV"[(int)(id >> (60 - (5 * i))) & 31];
        }
    });
}

using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Polyhost.AspNetCore;

// The structs of `hosts/clr/src/ffi/aspnet.rs`, field by field. Both sides are of one release; sizes are compared all
// the same, so that a mistake is told and not met.

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Slice(byte* data, nuint length)
{
    public byte* Data = data;
    public nuint Length = length;

    /// <summary>For reading it in one go while somebody may write.</summary>
    [UnscopedRef]
    public ref nuint Address => ref Unsafe.As<Slice, nuint>(ref this);

    public readonly ReadOnlySpan<byte> Span => new(Data, checked((int)Length));

    public override readonly string ToString() => Encoding.UTF8.GetString(Span);
}

/// <summary>One line of a request's head.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Header
{
    /// <summary>One more than the index in <see cref="KnownHeaders.Names"/>; 0 for any other name.</summary>
    public uint Known;
    public uint Reserved;
    public Slice Name;
    public Slice Value;
}

/// <summary>Lives as long as the connection.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Connection
{
    public ulong Id;

    /// <summary>The 4 or 16 bytes of an address; none for a Unix socket.</summary>
    public Slice LocalAddress;
    public Slice RemoteAddress;
    public ushort LocalPort;
    public ushort RemotePort;

    /// <summary>How many contexts it has had, each for one request.</summary>
    public uint Earlier;
}

[Flags]
internal enum RequestFlags : uint
{
    None = 0,
    HasBody = 1,

    /// <summary>May be upgraded to another protocol.</summary>
    Upgrade = 2,
    ExpectContinue = 4,

    /// <summary>To be run on the calling thread.</summary>
    Inline = 8,
    Tls = 16,
    KeepAlive = 32,
    Chunked = 64,
}

/// <summary>Who a request's target names.</summary>
internal enum TargetForm : byte
{
    Origin = 0,
    Absolute = 1,
    Authority = 2,
    Asterisk = 3,
}

/// <summary>A request, with its head in memory that is never freed, but written over by the next one.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Request
{
    public uint Size;
    public RequestFlags Flags;
    public nuint Slot;
    public uint Generation;

    /// <summary>The context that was rented for the connection.</summary>
    public uint Context;

    /// <summary>One more than the index in <see cref="RequestContext.Methods"/>; 0 for any other.</summary>
    public byte Method;
    public byte Version;
    public TargetForm Form;
    public byte Reserved;
    public uint HeaderCount;

    /// <summary>-1 without one.</summary>
    public long ContentLength;
    public Slice MethodText;
    public Slice Target;
    public Slice Path;
    public Slice Query;
    public Header* Headers;
    public Connection* Connection;
}

[Flags]
internal enum HeadFlags : ushort
{
    None = 0,

    /// <summary>Committed before the response was complete, so without bytes and a length it is of unknown length.</summary>
    Open = 1,
}

[StructLayout(LayoutKind.Sequential)]
internal struct ResponseHead
{
    public uint Size;
    public ushort Status;
    public HeadFlags Flags;

    /// <summary>-1 when the application has set none.</summary>
    public long ContentLength;

    /// <summary>Empty for that of the status.</summary>
    public Slice Reason;

    /// <summary>For each line: u16 length of the name, u32 length of the value, name, value.</summary>
    public Slice Headers;
}

/// <summary>Bytes of a request's body, given back by <see cref="HttpHost.BytesFree"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Chunk
{
    public ulong Handle;
    public byte* Data;
    public nuint Length;
}

/// <summary>Memory of the host for bytes of a response.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Block
{
    public byte* Data;
    public nuint Capacity;
}

[Flags]
internal enum SendFlags : uint
{
    None = 0,

    /// <summary>The response is complete.</summary>
    End = 1,

    /// <summary>The application is done with the exchange: it is nobody's after this.</summary>
    Release = 2,

    /// <summary>The data is the start of a <see cref="Block"/>, which the host takes over whatever it answers.</summary>
    Owned = 4,
    Upgrade = 8,

    /// <summary>Cuts the connection.</summary>
    Abort = 16,

    /// <summary>The response failed: what was sent of it goes out, then the connection is cut.</summary>
    Fail = 32,
}

internal enum Sent
{
    Accepted = 0,

    /// <summary>Accepted; a call of <c>writable</c> follows when there is room again.</summary>
    Pending = 1,
    Gone = 2,
    NoSuchFile = 3,
    OutOfRange = 4,
}

internal enum BodyRead
{
    Data = 0,

    /// <summary>Nothing yet; a call of <c>body_ready</c> follows.</summary>
    Pending = 1,
    End = 2,
    TooLarge = 3,
    Malformed = 4,
    TimedOut = 5,
    Aborted = 6,
    Gone = 7,
    TrailersTooLarge = 8,
}

internal enum AppEvent : uint
{
    Started = 2,
    Failed = 3,
    Stopped = 4,
    Stopping = 5,
}

/// <summary>The host's functions; none blocks.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct HttpHost
{
    public const uint CurrentVersion = 1;

    public uint Size;
    public uint Version;
    public delegate* unmanaged<nuint, uint, ResponseHead*, byte*, nuint, SendFlags, Sent> Send;
    public delegate* unmanaged<nuint, uint, Slice, int> SendTrailers;
    public delegate* unmanaged<nuint, uint, ResponseHead*, Slice, long, long, SendFlags, Sent> SendFile;
    public delegate* unmanaged<nuint, uint, Chunk*, BodyRead> Read;
    public delegate* unmanaged<ulong, void> BytesFree;
    public delegate* unmanaged<nuint, uint, Chunk*, int> RequestTrailers;
    public delegate* unmanaged<nuint, uint, long, int> SetMaxBody;
    public delegate* unmanaged<nuint, uint, double, long, int> SetMinBodyRate;
    public delegate* unmanaged<nuint, uint, double, long, int> SetMinResponseRate;
    public delegate* unmanaged<nuint, uint, int> Abort;
    public delegate* unmanaged<nuint, uint, int> RequestClose;
    public delegate* unmanaged<nuint, Block*, int> BlockNew;
    public delegate* unmanaged<byte*, void> BlockFree;
    public delegate* unmanaged<uint, AppEvent, Slice, void> AppEvent;
    public delegate* unmanaged<int, Slice, Slice, void> Log;

    /// <summary>Says where the application is served, or 1 and why it can't be.</summary>
    public delegate* unmanaged<uint, Slice, Slice*, int> Listen;
}

/// <summary>The guest's functions. Each catches everything: an exception that leaves one ends the process.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct HttpGuest
{
    public uint Size;
    public uint Version;
    public delegate* unmanaged<AppStart*, int> Start;
    public delegate* unmanaged<uint, Request*, void> Request;
    public delegate* unmanaged<uint, uint, void> BodyReady;
    public delegate* unmanaged<uint, uint, void> Writable;
    public delegate* unmanaged<uint, uint, void> Aborted;
    public delegate* unmanaged<uint, void> ReleaseContext;
    public delegate* unmanaged<uint, int> Stop;
    public delegate* unmanaged<Stats*, int> Stats;

    /// <summary>A context for a connection, before its first request; 0 where the server has stopped.</summary>
    public delegate* unmanaged<uint, Connection*, uint> RentContext;
}

/// <summary>What application to start.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AppStart
{
    public uint Size;
    public uint App;

    /// <summary>Pairs of a name and a value, each ended by a zero.</summary>
    public Slice Settings;
}

/// <summary>What the runtime counts.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Stats
{
    public uint Size;
    public uint ThreadPoolThreads;
    public ulong Gen0Collections;
    public ulong Gen1Collections;
    public ulong Gen2Collections;
    public ulong PauseNanoseconds;
    public ulong HeapBytes;
    public ulong ThreadPoolQueue;
}

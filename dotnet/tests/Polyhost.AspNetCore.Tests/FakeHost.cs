using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Polyhost.AspNetCore.Tests;

/// <summary>The host's table in memory: what the server does with it is seen without a connection.</summary>
internal static unsafe class FakeHost
{
    private static readonly ConcurrentDictionary<nuint, FakeExchange> s_exchanges = new();
    private static readonly ConcurrentDictionary<nuint, nuint> s_blocks = new();
    private static readonly HttpHost* s_table = Table();
    private static readonly HttpGuest* s_guest = Guest();
    private static long s_slots;

    internal static HttpGuest* Callbacks => s_guest;

    internal static ConcurrentQueue<(uint App, AppEvent Kind, string Text)> Events { get; } = new();

    internal static ConcurrentDictionary<uint, string> Announcements { get; } = new();

    internal static void Install() => Native.Host = s_table;

    internal static nuint Add(FakeExchange exchange)
    {
        var slot = (nuint)Interlocked.Increment(ref s_slots);
        s_exchanges[slot] = exchange;
        return slot;
    }

    private static HttpHost* Table()
    {
        var host = (HttpHost*)NativeMemory.AllocZeroed((nuint)sizeof(HttpHost));
        host->Size = (uint)sizeof(HttpHost);
        host->Version = HttpHost.CurrentVersion;
        host->Send = &Send;
        host->SendFile = &SendFile;
        host->Read = &Read;
        host->BytesFree = &BytesFree;
        host->RequestTrailers = &RequestTrailers;
        host->SetMaxBody = &SetMaxBody;
        host->Abort = &Abort;
        host->SetMinBodyRate = &SetMinBodyRate;
        host->RequestClose = &RequestClose;
        host->BlockNew = &BlockNew;
        host->BlockFree = &BlockFree;
        host->AppEvent = &AppEvent;
        host->Log = &Log;
        host->Listen = &Listen;
        return host;
    }

    private static HttpGuest* Guest()
    {
        var guest = (HttpGuest*)NativeMemory.AllocZeroed((nuint)sizeof(HttpGuest));
        AspNetCore.Callbacks.Fill(guest);
        return guest;
    }

    [UnmanagedCallersOnly]
    private static Sent Send(nuint slot, uint generation, ResponseHead* head, byte* data, nuint length, SendFlags flags)
    {
        var bytes = new ReadOnlySpan<byte>(data, (int)length).ToArray();
        if ((flags & SendFlags.Owned) != 0)
        {
            Free(data);
        }
        return Find(slot, generation)?.OnSend(head, bytes, flags) ?? Sent.Gone;
    }

    [UnmanagedCallersOnly]
    private static Sent SendFile(
        nuint slot, uint generation, ResponseHead* head, Slice path, long offset, long count, SendFlags flags)
    {
        var bytes = File.ReadAllBytes(path.ToString()).AsSpan((int)offset, (int)count).ToArray();
        return Find(slot, generation)?.OnSend(head, bytes, flags) ?? Sent.Gone;
    }

    [UnmanagedCallersOnly]
    private static BodyRead Read(nuint slot, uint generation, Chunk* chunk) =>
        Find(slot, generation)?.OnRead(chunk) ?? BodyRead.Gone;

    [UnmanagedCallersOnly]
    private static void BytesFree(ulong handle) => FakeExchange.FreeChunk(handle);

    [UnmanagedCallersOnly]
    private static int RequestTrailers(nuint slot, uint generation, Chunk* chunk) =>
        Find(slot, generation)?.OnTrailers(chunk) ?? 1;

    [UnmanagedCallersOnly]
    private static int SetMaxBody(nuint slot, uint generation, long limit)
    {
        if (Find(slot, generation) is { } exchange)
        {
            exchange.MaxBody = limit;
        }
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int SetMinBodyRate(nuint slot, uint generation, double rate, long grace)
    {
        if (Find(slot, generation) is { } exchange)
        {
            exchange.Grace = grace;
        }
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int Abort(nuint slot, uint generation)
    {
        if (Find(slot, generation) is { } exchange)
        {
            exchange.IsAborted = true;
        }
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int RequestClose(nuint slot, uint generation)
    {
        if (Find(slot, generation) is { } exchange)
        {
            exchange.IsCloseRequested = true;
        }
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int BlockNew(nuint atLeast, Block* block)
    {
        block->Data = (byte*)NativeMemory.Alloc(atLeast);
        block->Capacity = atLeast;
        s_blocks[(nuint)block->Data] = atLeast;
        return 0;
    }

    [UnmanagedCallersOnly]
    private static void BlockFree(byte* data) => Free(data);

    [UnmanagedCallersOnly]
    private static void AppEvent(uint app, AppEvent kind, Slice text) => Events.Enqueue((app, kind, text.ToString()));

    /// <summary>Serves everybody where they want.</summary>
    [UnmanagedCallersOnly]
    private static int Listen(uint app, Slice announcement, Slice* reply)
    {
        Announcements[app] = announcement.ToString();
        *reply = default;
        return 0;
    }

    [UnmanagedCallersOnly]
    private static void Log(int level, Slice category, Slice text) => Console.Error.WriteLine(text.ToString());

    private static void Free(byte* data)
    {
        if (!s_blocks.TryRemove((nuint)data, out _))
        {
            Environment.FailFast("a block was given back twice");
        }
        NativeMemory.Free(data);
    }

    private static FakeExchange? Find(nuint slot, uint generation) =>
        s_exchanges.TryGetValue(slot, out var exchange) && exchange.Generation == generation && !exchange.IsReleased
            ? exchange : null;
}

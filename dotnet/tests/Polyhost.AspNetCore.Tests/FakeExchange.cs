using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Text;

namespace Polyhost.AspNetCore.Tests;

/// <summary>One request to the server under test, and what the server answers.</summary>
internal sealed unsafe class FakeExchange
{
    private static readonly ConcurrentDictionary<ulong, (nint Memory, uint App)> s_chunks = new();
    private static long s_handles;

    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _firstSend = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _readPending = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Queue<(BodyRead Kind, byte[] Data)> _body = new();
    private readonly MemoryStream _sent = new();
    private readonly List<SendFlags> _sends = [];
    private readonly object _lock = new();

    /// <summary>The application it is for, where chunks are counted.</summary>
    internal uint App { get; init; }

    internal uint Generation { get; set; }

    internal uint Context { get; set; }

    internal int Status { get; private set; }

    internal string Reason { get; private set; } = "";

    internal HeadFlags HeadFlags { get; private set; }

    internal long ContentLength { get; private set; } = -1;

    internal List<(string Name, string Value)> Headers { get; private set; } = [];

    internal string Body => Encoding.UTF8.GetString(_sent.ToArray());

    internal IReadOnlyList<SendFlags> Sends => _sends;

    internal bool IsEnded { get; private set; }

    internal bool IsAborted { get; set; }

    internal bool IsCloseRequested { get; set; }

    internal bool IsUpgraded { get; private set; }

    internal long? MaxBody { get; set; }

    /// <summary>How long the body may be too slow.</summary>
    internal long Grace { get; set; }

    /// <summary>Whether the client reads so slowly that every send must wait.</summary>
    internal bool IsSlow { get; set; }

    /// <summary>Whether the client has gone, and nobody has told the server.</summary>
    internal bool IsGone { get; init; }

    internal byte[]? Trailers { get; set; }

    internal bool IsReleased { get; private set; }

    internal Task Released => _released.Task;

    internal Task FirstSend => _firstSend.Task;

    /// <summary>Ends when the server has been told that there is no more of the body yet.</summary>
    internal Task ReadPending => _readPending.Task;

    /// <summary>How many chunks an application has got and not given back.</summary>
    internal static int LiveChunksOf(uint app) => s_chunks.Values.Count(chunk => chunk.App == app);

    internal static void FreeChunk(ulong handle)
    {
        if (!s_chunks.TryRemove(handle, out var chunk))
        {
            Environment.FailFast("a chunk was given back twice");
        }
        NativeMemory.Free((void*)chunk.Memory);
    }

    /// <summary>Puts a part of the body where the server finds it. Does not tell it.</summary>
    internal void Receive(BodyRead kind, string data = "")
    {
        lock (_lock)
        {
            _body.Enqueue((kind, Encoding.UTF8.GetBytes(data)));
        }
    }

    internal void TellBodyReady() => FakeHost.Callbacks->BodyReady(Context, Generation);

    internal void TellWritable() => FakeHost.Callbacks->Writable(Context, Generation);

    internal void TellAborted() => FakeHost.Callbacks->Aborted(Context, Generation);

    internal Sent OnSend(ResponseHead* head, byte[] data, SendFlags flags)
    {
        lock (_lock)
        {
            if (head is not null)
            {
                Status = head->Status;
                Reason = head->Reason.ToString();
                HeadFlags = head->Flags;
                ContentLength = head->ContentLength;
                Headers = PackedHeaders.Read(head->Headers.Span);
            }
            _sent.Write(data);
            _sends.Add(flags);
            IsEnded |= (flags & SendFlags.End) != 0;
            IsAborted |= (flags & (SendFlags.Abort | SendFlags.Fail)) != 0;
            IsUpgraded |= (flags & SendFlags.Upgrade) != 0;
        }
        _firstSend.TrySetResult();
        if ((flags & SendFlags.Release) != 0)
        {
            IsReleased = true;
            _released.TrySetResult();
        }
        return IsGone ? Sent.Gone : IsSlow ? Sent.Pending : Sent.Accepted;
    }

    internal BodyRead OnRead(Chunk* chunk)
    {
        lock (_lock)
        {
            if (!_body.TryPeek(out var next))
            {
                _readPending.TrySetResult();
                return BodyRead.Pending;
            }
            if (next.Kind != BodyRead.Data)
            {
                return next.Kind;
            }
            _body.Dequeue();
            Give(chunk, next.Data);
            return BodyRead.Data;
        }
    }

    internal int OnTrailers(Chunk* chunk)
    {
        if (Trailers is null)
        {
            return 1;
        }
        Give(chunk, Trailers);
        return 0;
    }

    private void Give(Chunk* chunk, byte[] bytes)
    {
        chunk->Handle = (ulong)Interlocked.Increment(ref s_handles);
        chunk->Data = (byte*)NativeMemory.Alloc((nuint)bytes.Length);
        chunk->Length = (nuint)bytes.Length;
        bytes.CopyTo(new Span<byte>(chunk->Data, bytes.Length));
        s_chunks[chunk->Handle] = ((nint)chunk->Data, App);
    }
}

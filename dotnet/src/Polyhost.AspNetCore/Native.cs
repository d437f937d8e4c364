using System.Text;

namespace Polyhost.AspNetCore;

/// <summary>The host's functions. None blocks, and each does nothing to an exchange that is over.</summary>
internal static unsafe class Native
{
    /// <summary>Set once, before the first call, and valid as long as the process.</summary>
    internal static HttpHost* Host;

    internal static Sent Send(
        in ExchangeId exchange, ResponseHead* head, byte* data, nuint length, SendFlags flags) =>
        Host->Send(exchange.Slot, exchange.Generation, head, data, length, flags);

    internal static Sent SendFile(
        in ExchangeId exchange, ResponseHead* head, string path, long offset, long count, SendFlags flags)
    {
        var bytes = Encoding.UTF8.GetBytes(path);
        fixed (byte* data = bytes)
        {
            var slice = new Slice(data, (nuint)bytes.Length);
            return Host->SendFile(exchange.Slot, exchange.Generation, head, slice, offset, count, flags);
        }
    }

    internal static BodyRead Read(in ExchangeId exchange, out Chunk chunk)
    {
        fixed (Chunk* place = &chunk)
        {
            *place = default;
            return Host->Read(exchange.Slot, exchange.Generation, place);
        }
    }

    internal static void BytesFree(ulong handle) => Host->BytesFree(handle);

    /// <summary>The packed trailers of a request, or false while its body has not ended.</summary>
    internal static bool RequestTrailers(in ExchangeId exchange, out byte[] packed)
    {
        Chunk chunk;
        if (Host->RequestTrailers(exchange.Slot, exchange.Generation, &chunk) != 0)
        {
            packed = [];
            return false;
        }
        packed = new ReadOnlySpan<byte>(chunk.Data, (int)chunk.Length).ToArray();
        BytesFree(chunk.Handle);
        return true;
    }

    internal static void SetMaxBody(in ExchangeId exchange, long? limit) =>
        Host->SetMaxBody(exchange.Slot, exchange.Generation, limit ?? -1);

    internal static void SetMinBodyRate(in ExchangeId exchange, double bytesPerSecond, TimeSpan grace) =>
        Host->SetMinBodyRate(exchange.Slot, exchange.Generation, bytesPerSecond, Nanoseconds(grace));

    internal static void SetMinResponseRate(in ExchangeId exchange, double bytesPerSecond, TimeSpan grace) =>
        Host->SetMinResponseRate(exchange.Slot, exchange.Generation, bytesPerSecond, Nanoseconds(grace));

    internal static void Abort(in ExchangeId exchange) => Host->Abort(exchange.Slot, exchange.Generation);

    internal static void RequestClose(in ExchangeId exchange) => Host->RequestClose(exchange.Slot, exchange.Generation);

    internal static Block BlockNew(int atLeast)
    {
        Block block;
        if (Host->BlockNew((nuint)atLeast, &block) != 0 || block.Capacity < (nuint)atLeast)
        {
            throw new OutOfMemoryException($"the host has no memory for {atLeast} bytes of a response");
        }
        return block;
    }

    internal static void BlockFree(byte* data) => Host->BlockFree(data);

    internal static void AppEvent(uint app, AppEvent kind, ReadOnlySpan<byte> text)
    {
        fixed (byte* data = text)
        {
            Host->AppEvent(app, kind, new Slice(data, (nuint)text.Length));
        }
    }

    /// <summary>Where the application is served, with what it asks for.</summary>
    /// <exception cref="IOException">It can't be.</exception>
    internal static string[] Listen(uint app, ReadOnlySpan<byte> announcement)
    {
        fixed (byte* data = announcement)
        {
            Slice reply = default;
            var status = Host->Listen(app, new Slice(data, (nuint)announcement.Length), &reply);
            return status == 0
                ? reply.ToString().Split('\0', StringSplitOptions.RemoveEmptyEntries)
                : throw new IOException(reply.Length == 0 ? "the host does not know this application" : reply.ToString());
        }
    }

    internal static void Log(int level, string category, string message)
    {
        var bytes = Encoding.UTF8.GetBytes(category + message);
        fixed (byte* data = bytes)
        {
            var length = (nuint)Encoding.UTF8.GetByteCount(category);
            Host->Log(level, new Slice(data, length), new Slice(data + length, (nuint)bytes.Length - length));
        }
    }

    /// <summary>292 years stand for any longer time.</summary>
    private static long Nanoseconds(TimeSpan time) =>
        Math.Min(time.Ticks, long.MaxValue / TimeSpan.NanosecondsPerTick) * TimeSpan.NanosecondsPerTick;
}

/// <summary>A request in the host, and its response. The number tells it from others in the same slot.</summary>
internal readonly record struct ExchangeId(nuint Slot, uint Generation);

using System.Runtime.InteropServices;

namespace Polyhost.AspNetCore;

/// <summary>What the host calls for a request. Each catches everything: an exception that leaves one ends the
/// process.</summary>
internal static unsafe class Callbacks
{
    /// <summary>Fills in this class's part of the guest's table.</summary>
    internal static void Fill(HttpGuest* guest)
    {
        guest->RentContext = &RentContext;
        guest->Request = &Request;
        guest->BodyReady = &BodyReady;
        guest->Writable = &Writable;
        guest->Aborted = &Aborted;
        guest->ReleaseContext = &ReleaseContext;
    }

    [UnmanagedCallersOnly]
    private static uint RentContext(uint app, Connection* connection)
    {
        try
        {
            return HostServer.Rent(app, connection);
        }
        catch (Exception e)
        {
            Report("rent_context", e);
            return 0;
        }
    }

    [UnmanagedCallersOnly]
    private static void Request(uint app, Request* request)
    {
        // Copied: once the request is released, another may be in its place.
        var exchange = new ExchangeId(request->Slot, request->Generation);
        try
        {
            HostServer.Take(app, request);
        }
        catch (Exception e)
        {
            Report("request", e);
            Refuse(exchange);
        }
    }

    [UnmanagedCallersOnly]
    private static void BodyReady(uint context, uint generation)
    {
        try
        {
            ContextTable.Find(context)?.OnBodyReady(generation);
        }
        catch (Exception e)
        {
            Report("body_ready", e);
        }
    }

    [UnmanagedCallersOnly]
    private static void Writable(uint context, uint generation)
    {
        try
        {
            ContextTable.Find(context)?.OnWritable(generation);
        }
        catch (Exception e)
        {
            Report("writable", e);
        }
    }

    [UnmanagedCallersOnly]
    private static void Aborted(uint context, uint generation)
    {
        try
        {
            ContextTable.Find(context)?.OnAborted(generation);
        }
        catch (Exception e)
        {
            Report("aborted", e);
        }
    }

    [UnmanagedCallersOnly]
    private static void ReleaseContext(uint context)
    {
        try
        {
            ContextTable.Find(context)?.OnConnectionClosed();
        }
        catch (Exception e)
        {
            Report("release_context", e);
        }
    }

    private static void Refuse(in ExchangeId exchange) =>
        Native.Send(exchange, null, null, 0, SendFlags.Abort | SendFlags.Release);

    private static void Report(string call, Exception e)
    {
        try
        {
            Native.Log(LogLevels.Error, "Polyhost.AspNetCore", $"{call}: {e}");
        }
        catch (Exception)
        {
            // Out of memory: nobody is there to tell.
        }
    }
}

/// <summary>The host's levels of its log: the numbers of <see cref="Microsoft.Extensions.Logging.LogLevel"/>.</summary>
internal static class LogLevels
{
    internal const int Error = 4;
}

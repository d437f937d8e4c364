using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Polyhost;

/// <summary>
/// The functions that the host calls, which are the only ones that cross. Each catches everything: an exception that
/// leaves one ends the process.
/// </summary>
public static unsafe class Shim
{
    /// <summary><c>PolyhostGuestEntry</c> of polyhost.h: takes the host's table and fills the guest's.</summary>
    [UnmanagedCallersOnly]
    internal static int Bootstrap(PolyhostHost* host, PolyhostGuest* guest, PolyhostSlice* reason)
    {
        try
        {
            if (host->AbiMajor != PolyhostHost.Major || host->Size < sizeof(PolyhostHost))
            {
                *reason = Keep($"the .NET shim speaks version {PolyhostHost.Major}.{PolyhostHost.Minor} of the ABI, "
                    + $"this host {host->AbiMajor}.{host->AbiMinor}; use a shim and a host of the same release");
                return (int)StatusCode.FailedPrecondition;
            }
            Host.Table = host;
            Log.Caller = ConsoleLog.Caller;
            ConsoleLog.Attach();
            FailurePolicy.Install();
            guest->AbiMajor = PolyhostHost.Major;
            guest->AbiMinor = PolyhostHost.Minor;
            guest->Name = Keep(".NET");
            guest->Version = Keep(Environment.Version.ToString());
            guest->Open = &Open;
            guest->Close = &Close;
            guest->Call = &Call;
            guest->Cancel = &Cancel;
            guest->Shutdown = &Shutdown;
            guest->Heap = &Heap;
            return 0;
        }
        catch (BoundaryException e)
        {
            *reason = Keep(e.Message);
            return (int)StatusCode.FailedPrecondition;
        }
        catch (Exception e)
        {
            try
            {
                *reason = Keep($"the .NET shim did not start: {e}");
            }
            catch (Exception)
            {
                // Out of memory: the status alone has to do.
            }
            return (int)StatusCode.Internal;
        }
    }

    [UnmanagedCallersOnly]
    private static int Open(PolyhostCall* call, PolyhostSource* source, PolyhostModule* module)
    {
        try
        {
            Module.Open(source, module);
            return 0;
        }
        catch (Exception e)
        {
            return Error.Report(call, e);
        }
    }

    [UnmanagedCallersOnly]
    private static int Close(PolyhostCall* call, ulong module, PolyhostOutput* held)
    {
        try
        {
            Module.Close(module, held);
            return 0;
        }
        catch (Exception e)
        {
            return Error.Report(call, e);
        }
    }

    [UnmanagedCallersOnly]
    private static int Call(ulong id, PolyhostCall* call, byte* input, nuint length, PolyhostOutput* output)
    {
        try
        {
            var function = FunctionTable.Find(id);
            if (function is null)
            {
                return (int)StatusCode.NotFound;
            }
            if (length > int.MaxValue)
            {
                throw TooLarge(length);
            }
            function.Handler(new ReadOnlySpan<byte>(input, (int)length), new Output(output, call));
            return 0;
        }
        catch (Exception e)
        {
            return Error.Report(call, e);
        }
    }

    // Out of line: what formats the text would have a place in the frame of every call, and be cleared there.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static BoundaryException TooLarge(nuint length) =>
        new(ErrorKind.Exhausted, $"a request of {length} bytes is more than .NET can hold in one span (2 GiB)");

    [UnmanagedCallersOnly]
    private static void Cancel(ulong id)
    {
        try
        {
            CallContext.Cancel(id);
        }
        catch (Exception)
        {
            // Nobody is there to tell.
        }
    }

    [UnmanagedCallersOnly]
    private static void Shutdown()
    {
        try
        {
            ConsoleLog.Detach();
        }
        catch (Exception)
        {
            // Nobody is there to tell.
        }
    }

    [UnmanagedCallersOnly]
    private static ulong Heap()
    {
        try
        {
            return (ulong)GC.GetTotalMemory(forceFullCollection: false);
        }
        catch (Exception)
        {
            return 0;
        }
    }

    /// <summary>Text for the host that lives as long as the process.</summary>
    private static PolyhostSlice Keep(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        var memory = (byte*)NativeMemory.Alloc((nuint)Math.Max(1, bytes.Length));
        bytes.CopyTo(new Span<byte>(memory, bytes.Length));
        return new PolyhostSlice(memory, bytes.Length);
    }
}

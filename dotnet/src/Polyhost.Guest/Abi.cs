using System.Runtime.InteropServices;
using System.Text;

namespace Polyhost;

// The structs of `polyhost.h`, field by field; the header says what they mean and who owns what.

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct PolyhostSlice
{
    public byte* Data;
    public nuint Length;

    public PolyhostSlice(byte* data, int length)
    {
        Data = data;
        Length = (nuint)length;
    }

    public readonly ReadOnlySpan<byte> Span => new(Data, checked((int)Length));

    public override readonly string ToString() => Encoding.UTF8.GetString(Span);
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct PolyhostOutput
{
    public byte* Data;
    public nuint Length;
    public nuint Capacity;
    public nuint Limit;
}

/// <summary>A call in progress; opaque.</summary>
internal struct PolyhostCall
{
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct PolyhostHost
{
    public const ushort Major = 1;
    public const ushort Minor = 1;

    public uint Size;
    public ushort AbiMajor;
    public ushort AbiMinor;
    public delegate* unmanaged<PolyhostOutput*, nuint, int> OutputReserve;
    public delegate* unmanaged<nuint, PolyhostOutput*> OutputNew;
    public delegate* unmanaged<PolyhostOutput*, void> OutputFree;
    public delegate* unmanaged<PolyhostCall*, int> Cancelled;
    public delegate* unmanaged<PolyhostCall*, long> Remaining;
    public delegate* unmanaged<PolyhostCall*, nuint, PolyhostSlice*, PolyhostSlice*, int> Metadata;
    public delegate* unmanaged<PolyhostCall*, ulong> Watch;
    public delegate* unmanaged<PolyhostCall*, PolyhostSlice, uint*, int> ServiceFind;
    public delegate* unmanaged<PolyhostCall*, uint, PolyhostSlice, PolyhostOutput*, int> ServiceCall;
    public delegate* unmanaged<PolyhostCall*, PolyhostOutput*, PolyhostSlice*, int> ServiceError;
    public delegate* unmanaged<PolyhostCall*, PolyhostSlice, void> Error;
    public delegate* unmanaged<PolyhostCall*, PolyhostSlice, void> ErrorReport;
    public delegate* unmanaged<ulong, PolyhostCall*, int, PolyhostSlice, PolyhostSlice, void> Log;
}

[StructLayout(LayoutKind.Sequential)]
internal struct PolyhostSource
{
    public const uint SelfKind = 0;
    public const uint PathKind = 1;
    public const uint BytesKind = 2;
    public const uint TextKind = 3;

    public uint Size;
    public uint Kind;
    public PolyhostSlice Name;
    public PolyhostSlice Data;
    public ulong Module;
    public PolyhostSlice Options;
}

[StructLayout(LayoutKind.Sequential)]
internal struct PolyhostExport
{
    public uint Size;
    public uint Reserved;
    public ulong Function;
    public PolyhostSlice Name;
    public PolyhostSlice InputType;
    public PolyhostSlice OutputType;
    public PolyhostSlice Doc;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct PolyhostModule
{
    public uint Size;
    public uint Reserved;
    public ulong Module;
    public PolyhostExport* Exports;
    public nuint ExportsLength;
    public PolyhostSlice Descriptors;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct PolyhostGuest
{
    public uint Size;
    public ushort AbiMajor;
    public ushort AbiMinor;
    public PolyhostSlice Name;
    public PolyhostSlice Version;
    public delegate* unmanaged<PolyhostCall*, PolyhostSource*, PolyhostModule*, int> Open;
    public delegate* unmanaged<PolyhostCall*, ulong, PolyhostOutput*, int> Close;
    public delegate* unmanaged<ulong, PolyhostCall*, byte*, nuint, PolyhostOutput*, int> Call;
    public delegate* unmanaged<ulong, void> Cancel;
    public delegate* unmanaged<void> Shutdown;
    public delegate* unmanaged<ulong> Heap;
}

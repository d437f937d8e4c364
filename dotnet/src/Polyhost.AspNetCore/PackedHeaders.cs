using System.Buffers.Binary;
using System.Text;

namespace Polyhost.AspNetCore;

/// <summary>Lines of headers as they cross: u16 length of the name, u32 length of the value, name, value.</summary>
internal static class PackedHeaders
{
    internal const int Prefix = sizeof(ushort) + sizeof(uint);

    internal static List<(string Name, string Value)> Read(ReadOnlySpan<byte> packed) =>
        [.. ReadBytes(packed).Select(static line => (line.Name, Encoding.UTF8.GetString(line.Value)))];

    internal static List<(string Name, byte[] Value)> ReadBytes(ReadOnlySpan<byte> packed)
    {
        var lines = new List<(string, byte[])>();
        while (!packed.IsEmpty)
        {
            var name = BinaryPrimitives.ReadUInt16LittleEndian(packed);
            var value = checked((int)BinaryPrimitives.ReadUInt32LittleEndian(packed[sizeof(ushort)..]));
            packed = packed[Prefix..];
            lines.Add((Encoding.ASCII.GetString(packed[..name]), packed.Slice(name, value).ToArray()));
            packed = packed[(name + value)..];
        }
        return lines;
    }

    /// <summary>How many bytes <see cref="Write"/> needs at most.</summary>
    internal static int SizeOf(string name, string value, Encoding encoding) =>
        Prefix + name.Length + encoding.GetMaxByteCount(value.Length);

    /// <summary>Writes a line, and says how many bytes it took.</summary>
    internal static int Write(Span<byte> to, string name, string value, Encoding encoding)
    {
        var nameLength = Encoding.Latin1.GetBytes(name, to[Prefix..]);
        var valueLength = encoding.GetBytes(value, to[(Prefix + nameLength)..]);
        BinaryPrimitives.WriteUInt16LittleEndian(to, (ushort)nameLength);
        BinaryPrimitives.WriteUInt32LittleEndian(to[sizeof(ushort)..], (uint)valueLength);
        return Prefix + nameLength + valueLength;
    }
}

using System.Text;

namespace Polyhost;

/// <summary>Writes a protobuf message, field by field. For errors only: it copies each nested message.</summary>
internal sealed class MessageWriter
{
    private const int Varint = 0;
    private const int Delimited = 2;

    private readonly MemoryStream _stream = new();

    internal ReadOnlySpan<byte> Written => _stream.GetBuffer().AsSpan(0, (int)_stream.Length);

    /// <summary>Writes a number, unless it is 0.</summary>
    internal MessageWriter Number(int field, uint value)
    {
        if (value != 0)
        {
            Raw((uint)(field << 3 | Varint));
            Raw(value);
        }
        return this;
    }

    /// <summary>Writes text, unless it is empty.</summary>
    internal MessageWriter Text(int field, string? value) =>
        string.IsNullOrEmpty(value) ? this : Bytes(field, Encoding.UTF8.GetBytes(value));

    /// <summary>Writes a nested message, unless there is none.</summary>
    internal MessageWriter Message(int field, MessageWriter? value) =>
        value is null ? this : Bytes(field, value.Written);

    /// <summary>Writes bytes, or a nested message that is serialized already.</summary>
    internal MessageWriter Bytes(int field, ReadOnlySpan<byte> value)
    {
        Raw((uint)(field << 3 | Delimited));
        Raw((uint)value.Length);
        _stream.Write(value);
        return this;
    }

    private void Raw(uint value)
    {
        for (; value >= 0x80; value >>= 7)
        {
            _stream.WriteByte((byte)(value | 0x80));
        }
        _stream.WriteByte((byte)value);
    }
}

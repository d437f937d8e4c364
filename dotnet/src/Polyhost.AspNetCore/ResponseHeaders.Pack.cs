using System.Runtime.CompilerServices;
using System.Text;

namespace Polyhost.AspNetCore;

// As they cross to the host.
internal sealed unsafe partial class ResponseHeaders
{
    /// <summary>Pinned: the host reads it where it is.</summary>
    internal byte[] Packed => _packed;

    /// <summary>Writes the lines in the host's form, but for the length. Valid until the next time.</summary>
    /// <remarks>Responses of one connection often have the very strings of the one before: then what was written for
    /// that is still right.</remarks>
    internal Slice Pack()
    {
        if (_count == 0)
        {
            return default;
        }
        if (!IsAsPacked())
        {
            Write();
        }
        return _packedLength == 0 ? default : new Slice((byte*)Unsafe.AsPointer(ref _packed[0]), (nuint)_packedLength);
    }

    private bool IsAsPacked()
    {
        if (_packedCount != _count)
        {
            return false;
        }
        for (var i = 0; i < _count; i++)
        {
            ref var entry = ref _entries[i];
            if (!ReferenceEquals(entry.Name, entry.PackedName) || entry.Value.Count != 1 || entry.PackedValue is null
                || !ReferenceEquals((string?)entry.Value, entry.PackedValue))
            {
                return false;
            }
        }
        return true;
    }

    private void Write()
    {
        // An encoding of the application's may fail on the way.
        _packedCount = -1;
        _packedLength = 0;
        for (var i = 0; i < _count; i++)
        {
            ref var entry = ref _entries[i];
            entry.PackedName = entry.Name;
            entry.PackedValue = entry.Value.Count == 1 ? (string?)entry.Value : null;
            foreach (var value in entry.Value)
            {
                if (value is not null)
                {
                    Write(entry.Name, value);
                }
            }
        }
        _packedCount = _count;
    }

    private void Write(string name, string value)
    {
        var chosen = encoding?.Invoke(name) ?? Encoding.UTF8;
        var needed = _packedLength + PackedHeaders.SizeOf(name, value, chosen);
        if (needed > _packed.Length)
        {
            var larger = GC.AllocateUninitializedArray<byte>(Math.Max(needed, Math.Max(512, _packed.Length * 2)), pinned: true);
            _packed.AsSpan(0, _packedLength).CopyTo(larger);
            _packed = larger;
        }
        _packedLength += PackedHeaders.Write(_packed.AsSpan(_packedLength), name, value, chosen);
    }
}

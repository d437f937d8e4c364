using System.Buffers;
using System.Collections;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace Polyhost.AspNetCore;

/// <summary>
/// The headers of a response, in the order they were set. They are few, so they are found by looking at each; the length
/// is kept apart.
/// </summary>
internal sealed unsafe partial class ResponseHeaders(byte[] memory, Func<string, Encoding?>? encoding = null)
    : IHeaderDictionary
{
    private static readonly SearchValues<char> s_tokens =
        SearchValues.Create("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    private static readonly SearchValues<char> s_controls =
        SearchValues.Create([.. Enumerable.Range(0, 32).Where(static c => c != '\t').Append(127).Select(static c => (char)c)]);

    /// <summary>What is past <see cref="_count"/> is left of earlier responses: names that are known to be valid.</summary>
    private Entry[] _entries = new Entry[8];
    private int _count;
    private long? _contentLength;
    private byte[] _packed = memory;
    private int _packedLength;
    private int _packedCount = -1;

    private struct Entry
    {
        internal string Name;
        internal StringValues Value;

        /// <summary>The one string of the value that was found valid last.</summary>
        internal string? Valid;

        /// <summary>What was packed last in this place.</summary>
        internal string? PackedName;
        internal string? PackedValue;
    }

    public bool IsReadOnly { get; internal set; }

    public int Count => _count + (_contentLength.HasValue ? 1 : 0);

    public ICollection<string> Keys => [.. this.Select(static pair => pair.Key)];

    public ICollection<StringValues> Values => [.. this.Select(static pair => pair.Value)];

    public long? ContentLength
    {
        get => _contentLength;
        set
        {
            ThrowIfReadOnly();
            if (value < 0)
            {
                throw new ArgumentOutOfRangeException(nameof(value), value, Messages.InvalidContentLength($"{value}"));
            }
            _contentLength = value;
        }
    }

    internal bool HasTransferEncoding => Find(HeaderNames.TransferEncoding) >= 0;

    internal StringValues Connection
    {
        set => this[HeaderNames.Connection] = value;
    }

    public StringValues this[string key]
    {
        get => TryGetValue(key, out var value) ? value : StringValues.Empty;
        set
        {
            ThrowIfReadOnly();
            ArgumentException.ThrowIfNullOrEmpty(key);
            if (IsContentLength(key))
            {
                _contentLength = value.Count == 0 ? null : ParseLength(value);
            }
            else if (value.Count == 0)
            {
                Remove(key);
            }
            else
            {
                Put(key, value);
            }
        }
    }

    StringValues IDictionary<string, StringValues>.this[string key]
    {
        get => TryGetValue(key, out var value) ? value : throw new KeyNotFoundException();
        set => this[key] = value;
    }

    /// <summary>Refuses what could end a line, or is no text of a header.</summary>
    internal static void ValidateValue(string value)
    {
        var at = value.AsSpan().IndexOfAnyExceptInRange(' ', '~');
        while (at >= 0 && value[at] == '\t')
        {
            var next = value.AsSpan(at + 1).IndexOfAnyExceptInRange(' ', '~');
            at = next < 0 ? next : at + 1 + next;
        }
        if (at >= 0)
        {
            throw new InvalidOperationException(Messages.InvalidCharacter(value[at]));
        }
    }

    internal void Reset()
    {
        for (var i = 0; i < _count; i++)
        {
            _entries[i].Value = default;
        }
        _count = 0;
        _contentLength = null;
        IsReadOnly = false;
    }

    public bool ContainsKey(string key) => IsContentLength(key) ? _contentLength.HasValue : Find(key) >= 0;

    public bool TryGetValue(string key, [MaybeNullWhen(false)] out StringValues value)
    {
        if (IsContentLength(key))
        {
            value = _contentLength is { } length ? Text(length) : StringValues.Empty;
            return _contentLength.HasValue;
        }
        var index = Find(key);
        value = index >= 0 ? _entries[index].Value : StringValues.Empty;
        return index >= 0;
    }

    public void Add(string key, StringValues value)
    {
        ThrowIfReadOnly();
        if (ContainsKey(key))
        {
            throw new ArgumentException(Messages.KeyAlreadyExists);
        }
        this[key] = value;
    }

    public bool Remove(string key)
    {
        ThrowIfReadOnly();
        if (IsContentLength(key))
        {
            var had = _contentLength.HasValue;
            _contentLength = null;
            return had;
        }
        var index = Find(key);
        if (index < 0)
        {
            return false;
        }
        _count--;
        Array.Copy(_entries, index + 1, _entries, index, _count - index);
        _entries[_count] = default;
        _packedCount = -1;
        return true;
    }

    public void Clear()
    {
        ThrowIfReadOnly();
        Reset();
    }

    public void Add(KeyValuePair<string, StringValues> item) => Add(item.Key, item.Value);

    public bool Contains(KeyValuePair<string, StringValues> item) =>
        TryGetValue(item.Key, out var value) && value == item.Value;

    public bool Remove(KeyValuePair<string, StringValues> item) => Contains(item) && Remove(item.Key);

    public void CopyTo(KeyValuePair<string, StringValues>[] array, int arrayIndex)
    {
        foreach (var pair in this)
        {
            array[arrayIndex++] = pair;
        }
    }

    public IEnumerator<KeyValuePair<string, StringValues>> GetEnumerator()
    {
        for (var i = 0; i < _count; i++)
        {
            yield return new(_entries[i].Name, _entries[i].Value);
        }
        if (_contentLength is { } length)
        {
            yield return new(HeaderNames.ContentLength, Text(length));
        }
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private void Put(string key, StringValues value)
    {
        var index = Find(key);
        if (index < 0)
        {
            if (_count == _entries.Length)
            {
                Array.Resize(ref _entries, _count * 2);
            }
            if (!ReferenceEquals(_entries[_count].Name, key))
            {
                ValidateName(key);
            }
        }
        ref var entry = ref _entries[index < 0 ? _count : index];
        if (encoding?.Invoke(key) is null)
        {
            Validate(ref entry, value);
        }
        else
        {
            ValidateEncoded(ref entry, value);
        }
        if (index < 0)
        {
            entry.Name = key;
            _count++;
        }
        entry.Value = value;
    }

    private int Find(string key)
    {
        for (var i = 0; i < _count; i++)
        {
            if (ReferenceEquals(_entries[i].Name, key))
            {
                return i;
            }
        }
        for (var i = 0; i < _count; i++)
        {
            var name = _entries[i].Name;
            if (name.Length == key.Length && name.Equals(key, StringComparison.OrdinalIgnoreCase))
            {
                return i;
            }
        }
        return -1;
    }

    private static bool IsContentLength(string key) =>
        ReferenceEquals(key, HeaderNames.ContentLength)
        || (key.Length == HeaderNames.ContentLength.Length
            && key.Equals(HeaderNames.ContentLength, StringComparison.OrdinalIgnoreCase));

    private static string Text(long length) => length.ToString(CultureInfo.InvariantCulture);

    private static long ParseLength(in StringValues value) =>
        value.Count == 1 && HeaderUtilities.TryParseNonNegativeInt64(new StringSegment(value.ToString()), out var length)
            ? length
            : throw new InvalidOperationException(Messages.InvalidContentLength(value.ToString()));

    private static void Validate(ref Entry entry, in StringValues value)
    {
        if (value.Count == 1)
        {
            var text = value[0];
            if (text is not null && !ReferenceEquals(text, entry.Valid))
            {
                ValidateValue(text);
                entry.Valid = text;
            }
            return;
        }
        foreach (var text in value)
        {
            if (text is not null)
            {
                ValidateValue(text);
            }
        }
    }

    /// <summary>All but control characters may be in what has an encoding of its own.</summary>
    private static void ValidateEncoded(ref Entry entry, in StringValues value)
    {
        entry.Valid = null;
        foreach (var text in value)
        {
            var at = text.AsSpan().IndexOfAny(s_controls);
            if (at >= 0)
            {
                throw new InvalidOperationException(Messages.InvalidCharacter(text![at]));
            }
        }
    }

    private static void ValidateName(string name)
    {
        if (name.Length > ushort.MaxValue)
        {
            throw new InvalidOperationException($"the name of a header is {name.Length} characters long");
        }
        var at = name.AsSpan().IndexOfAnyExcept(s_tokens);
        if (at >= 0)
        {
            throw new InvalidOperationException(Messages.InvalidCharacter(name[at]));
        }
    }

    private void ThrowIfReadOnly()
    {
        if (IsReadOnly)
        {
            throw new InvalidOperationException(Messages.HeadersAreReadOnly);
        }
    }
}

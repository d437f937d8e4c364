using System.Collections;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Polyhost.AspNetCore;

/// <summary>
/// The headers of a request, read where the host has put them. A value becomes a string when it is asked for, and the
/// string of the connection's previous request where that says the same. The first change, and whatever wants them all,
/// makes a dictionary of them.
/// </summary>
internal sealed unsafe partial class RequestHeaders(RequestContext context, Func<string, Encoding?>? encoding = null) : IHeaderDictionary
{
    /// <summary>By the line's place in the head: requests of one connection mostly have the same lines.</summary>
    private Kept[] _kept = new Kept[16];
    private readonly HeaderDictionary _own = [];
    private bool _isOwn;

    private struct Kept
    {
        internal string? Name;
        internal string? Value;

        /// <summary>The request that <see cref="Value"/> was made for.</summary>
        internal long Request;
    }

    public int Count => Own().Count;

    public bool IsReadOnly => false;

    public ICollection<string> Keys => Own().Keys;

    public ICollection<StringValues> Values => Own().Values;

    public long? ContentLength
    {
        get => _isOwn ? _own.ContentLength : context.RequestContentLength;
        set => Own().ContentLength = value;
    }

    public StringValues this[string key]
    {
        get => _isOwn ? _own[key] : Find(0, key);
        set => Own()[key] = value;
    }

    StringValues IDictionary<string, StringValues>.this[string key]
    {
        get => TryGetValue(key, out var value) ? value : throw new KeyNotFoundException();
        set => Own()[key] = value;
    }

    internal void Reset()
    {
        if (_isOwn)
        {
            _own.Clear();
            _isOwn = false;
        }
    }

    public bool ContainsKey(string key) => TryGetValue(key, out _);

    public bool TryGetValue(string key, [MaybeNullWhen(false)] out StringValues value)
    {
        if (_isOwn)
        {
            return _own.TryGetValue(key, out value);
        }
        value = Find(0, key);
        return value.Count > 0;
    }

    public void Add(string key, StringValues value) => Own().Add(key, value);

    public bool Remove(string key) => Own().Remove(key);

    public void Clear() => Own().Clear();

    public void Add(KeyValuePair<string, StringValues> item) => Own().Add(item);

    public bool Contains(KeyValuePair<string, StringValues> item) => Own().Contains(item);

    public bool Remove(KeyValuePair<string, StringValues> item) => Own().Remove(item);

    public void CopyTo(KeyValuePair<string, StringValues>[] array, int arrayIndex) => Own().CopyTo(array, arrayIndex);

    public IEnumerator<KeyValuePair<string, StringValues>> GetEnumerator() => Own().GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>The values of a header: by the host's number of its name, or by the name where that is 0.</summary>
    private StringValues Find(uint known, string name)
    {
        var request = Open(out var headers, out var count);
        var found = StringValues.Empty;
        for (var i = 0; i < count; i++)
        {
            if (known != 0 ? headers[i].Known != known : !HasName(ref headers[i], name, request))
            {
                continue;
            }
            var value = Value(ref headers[i], i, request);
            found = found.Count == 0 ? new StringValues(value) : StringValues.Concat(found, value);
        }
        return found;
    }

    /// <summary>Where the lines are. The request was this one after they were looked up, so they are its own.</summary>
    private long Open(out Header* headers, out int count)
    {
        var request = context.Current();
        context.GetHeaders(out headers, out var number);
        context.Verify(request);
        count = (int)number;
        if (count > _kept.Length)
        {
            Array.Resize(ref _kept, Math.Max(count, _kept.Length * 2));
        }
        return request;
    }

    private bool HasName(ref Header header, string name, long request)
    {
        var known = header.Known - 1;
        if (known < (uint)KnownHeaders.Names.Length)
        {
            var text = KnownHeaders.Names[known];
            return ReferenceEquals(text, name)
                || (text.Length == name.Length && text.Equals(name, StringComparison.OrdinalIgnoreCase));
        }
        var data = (byte*)Volatile.Read(ref header.Name.Address);
        var length = Volatile.Read(ref header.Name.Length);
        context.Verify(request);
        return length == (nuint)name.Length && Ascii.EqualsIgnoreCase(new ReadOnlySpan<byte>(data, (int)length), name);
    }

    private string Value(ref Header header, int index, long request)
    {
        ref var kept = ref _kept[index];
        var value = kept.Value;
        if (Volatile.Read(ref kept.Request) == request)
        {
            value = kept.Value!;
            context.Verify(request);
            return value;
        }
        value = encoding is null
            ? context.Decode(ref header.Value, value, request)
            : context.Decode(ref header.Value, this, Name(ref header, index, request), request);
        kept.Value = value;
        Volatile.Write(ref kept.Request, request);
        return value;
    }

    private string Name(ref Header header, int index, long request)
    {
        var known = header.Known - 1;
        if (known < (uint)KnownHeaders.Names.Length)
        {
            return KnownHeaders.Names[known];
        }
        ref var kept = ref _kept[index];
        return kept.Name = context.Decode(ref header.Name, kept.Name, request);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private HeaderDictionary Own()
    {
        if (_isOwn)
        {
            return _own;
        }
        var request = Open(out var headers, out var count);
        // What a call left here that failed on its way.
        _own.Clear();
        for (var i = 0; i < count; i++)
        {
            var name = Name(ref headers[i], i, request);
            var value = Value(ref headers[i], i, request);
            _own[name] = _own.TryGetValue(name, out var earlier) ? StringValues.Concat(earlier, value) : value;
        }
        _isOwn = true;
        return _own;
    }
}

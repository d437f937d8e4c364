using System.Diagnostics.CodeAnalysis;
using System.Reflection;

namespace Polyhost;

/// <summary>Reads and writes the values of one type: a message of Google.Protobuf, or bytes.</summary>
/// <remarks>Google.Protobuf is the guest's own, of whatever version, and nothing here is compiled against it: what is
/// needed of it is found once for each type, and called by delegate.</remarks>
internal abstract class Codec<T>
    where T : class
{
    private static Codec<T>? s_instance;

    internal static Codec<T> Instance => s_instance ?? Make();

    /// <summary>Full name of the message; empty for bytes.</summary>
    internal abstract string TypeName { get; }

    /// <summary>Makes a value of bytes that it does not keep.</summary>
    internal abstract SpanReader<T> Reader { get; }

    internal abstract int Size(T value);

    /// <summary>Writes to a span of just <see cref="Size"/> bytes.</summary>
    internal abstract void Write(T value, Span<byte> bytes);

    private static Codec<T> Make()
    {
        object codec = typeof(T) == typeof(byte[]) ? new BytesCodec() : new MessageCodec<T>();
        return s_instance = (Codec<T>)codec;
    }
}

internal sealed class BytesCodec : Codec<byte[]>
{
    internal override string TypeName => "";

    internal override SpanReader<byte[]> Reader { get; } = static bytes => bytes.ToArray();

    internal override int Size(byte[] value) => value.Length;

    internal override void Write(byte[] value, Span<byte> bytes) => value.CopyTo(bytes);
}

internal sealed class MessageCodec<T> : Codec<T>
    where T : class
{
    private delegate void SpanWriter(T message, Span<byte> bytes);

    private readonly Func<T, int> _size;
    private readonly SpanWriter _write;

    internal MessageCodec()
    {
        var type = new MessageType(typeof(T));
        TypeName = type.FullName;
        Reader = type.Parse.CreateDelegate<SpanReader<T>>(type.Parser);
        _size = type.CalculateSize.CreateDelegate<Func<T, int>>();
        _write = type.WriteTo.CreateDelegate<SpanWriter>();
    }

    internal override string TypeName { get; }

    internal override SpanReader<T> Reader { get; }

    internal override int Size(T value) => _size(value);

    internal override void Write(T value, Span<byte> bytes) => _write(value, bytes);
}

/// <summary>What is needed of Google.Protobuf for one type of message.</summary>
internal sealed class MessageType
{
    private const string Library = "Google.Protobuf";

    internal MessageType(Type type)
    {
        var message = Message(type) ?? throw new ArgumentException(
            $"{type} is neither byte[] nor a message of Google.Protobuf", nameof(type));
        var library = message.Assembly;
        Parser = type.GetProperty("Parser", BindingFlags.Public | BindingFlags.Static)?.GetValue(null)
            ?? throw Unfit(library, $"{type} has no static property Parser");
        Parse = Parser.GetType().GetMethod("ParseFrom", [typeof(ReadOnlySpan<byte>)])
            ?? throw Unfit(library, "its MessageParser has no ParseFrom(ReadOnlySpan<byte>)");
        CalculateSize = type.GetMethod("CalculateSize", BindingFlags.Public | BindingFlags.Instance, [])
            ?? throw Unfit(library, $"{type} has no CalculateSize()");
        WriteTo = library.GetType(Library + ".MessageExtensions")?.GetMethod("WriteTo", [message, typeof(Span<byte>)])
            ?? throw Unfit(library, "it has no MessageExtensions.WriteTo(IMessage, Span<byte>)");
        Descriptor = type.GetProperty("Descriptor", BindingFlags.Public | BindingFlags.Static)?.GetValue(null)
            ?? throw Unfit(library, $"{type} has no static property Descriptor");
        FullName = Get<string>(Descriptor, "FullName");
    }

    internal object Parser { get; }

    internal MethodInfo Parse { get; }

    internal MethodInfo CalculateSize { get; }

    internal MethodInfo WriteTo { get; }

    /// <summary>Its <c>MessageDescriptor</c>.</summary>
    internal object Descriptor { get; }

    internal string FullName { get; }

    /// <summary>The interface <c>IMessage</c> that a message of whatever Google.Protobuf implements.</summary>
    internal static Type? Message(Type type) => type.IsClass
        ? type.GetInterfaces().FirstOrDefault(i => i.FullName == Library + ".IMessage")
        : null;

    /// <summary>The value of a property.</summary>
    internal static T Get<T>([NotNull] object target, string property)
    {
        var value = target.GetType().GetProperty(property, BindingFlags.Public | BindingFlags.Instance)?.GetValue(target);
        return value is T it ? it : throw Unfit(target.GetType().Assembly, $"{target.GetType()} has no {property}");
    }

    private static NotSupportedException Unfit(Assembly library, string why) =>
        new($"{library.GetName().Name} {library.GetName().Version} is not one this can work with: {why}; use 3.21 or later");
}

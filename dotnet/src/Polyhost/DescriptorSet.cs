using System.Collections;

namespace Polyhost;

/// <summary>A <c>google.protobuf.FileDescriptorSet</c> with every file that the messages of a module need.</summary>
internal sealed class DescriptorSet
{
    private readonly MessageWriter _set = new();
    private readonly HashSet<string> _files = new(StringComparer.Ordinal);

    /// <summary>Serialized, files behind those that they depend on; empty where there are none.</summary>
    internal ReadOnlySpan<byte> Written => _set.Written;

    /// <summary>Adds what a type needs, and gives the full name of the message; empty for bytes.</summary>
    internal string Add(Type type)
    {
        if (type == typeof(byte[]))
        {
            return "";
        }
        var message = new MessageType(type);
        AddFile(MessageType.Get<object>(message.Descriptor, "File"));
        return message.FullName;
    }

    private void AddFile(object file)
    {
        if (!_files.Add(MessageType.Get<string>(file, "Name")))
        {
            return;
        }
        foreach (var dependency in MessageType.Get<IEnumerable>(file, "Dependencies"))
        {
            AddFile(dependency);
        }
        var data = MessageType.Get<object>(file, "SerializedData");
        _set.Bytes(1, (byte[])data.GetType().GetMethod("ToByteArray", [])!.Invoke(data, null)!);
    }
}

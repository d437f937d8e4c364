// polyhost: source gen/*.cs
// polyhost: reference Google.Protobuf.dll
using System;
using System.Collections;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Polyhost;

/// <summary>Returns messages, or puts them together anew.</summary>
public static class Guest
{
    public static T Echo<T>(T message) => message;

    public static T Copy<T>(T message)
        where T : IMessage => (T)New(message);

    private static object New(object value)
    {
        if (value is not IMessage message)
        {
            return value;
        }
        var copy = (IMessage)Activator.CreateInstance(message.GetType());
        foreach (var field in message.Descriptor.Fields.InDeclarationOrder())
        {
            Set(copy, field, message);
        }
        return copy;
    }

    private static void Set(IMessage copy, FieldDescriptor field, IMessage message)
    {
        var (accessor, value) = (field.Accessor, field.Accessor.GetValue(message));
        if (field.IsMap)
        {
            var map = (IDictionary)accessor.GetValue(copy);
            foreach (DictionaryEntry entry in (IDictionary)value)
            {
                map.Add(entry.Key, New(entry.Value));
            }
        }
        else if (field.IsRepeated)
        {
            var list = (IList)accessor.GetValue(copy);
            foreach (var item in (IList)value)
            {
                list.Add(New(item));
            }
        }
        else if (!field.HasPresence || accessor.HasValue(message))
        {
            accessor.SetValue(copy, New(value));
        }
    }
}

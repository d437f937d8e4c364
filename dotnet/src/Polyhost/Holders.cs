using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;

namespace Polyhost;

/// <summary>
/// Looks for what holds a load context that should be gone. The runtime does not tell; its timers, the handlers of its
/// events and the statics of other modules can be looked at, the stacks of threads and GC handles can't.
/// </summary>
internal static class Holders
{
    private const BindingFlags Statics = BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    /// <summary>Those with events that outlive every module.</summary>
    private static readonly (Type, object?)[] s_events =
    [
        (typeof(AppContext), null),
        (typeof(AppDomain), AppDomain.CurrentDomain),
        (typeof(AssemblyLoadContext), AssemblyLoadContext.Default),
        (typeof(TaskScheduler), null),
        (typeof(Console), null),
    ];

    /// <summary>What is found, a line each.</summary>
    // Not inlined: nothing of it may stay in the frame of a caller that goes on to collect.
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static List<string> Find(AssemblyLoadContext context, IEnumerable<Module> others)
    {
        var held = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var (holder, value) in Roots(context, others))
        {
            try
            {
                if (new Search(context).Find(value) is { } type)
                {
                    held.Add($"{holder} holds {type.FullName}");
                }
            }
            catch (Exception)
            {
                // What can't be looked at is not told. This runs to help, and must not fail an unload.
            }
        }
        return [.. held];
    }

    private static IEnumerable<(string Holder, object Value)> Roots(AssemblyLoadContext context, IEnumerable<Module> others)
    {
        foreach (var timer in Timers())
        {
            yield return ("a timer", timer);
        }
        foreach (var (type, of) in s_events)
        {
            var fields = type.GetFields(Statics | (of is null ? 0 : BindingFlags.Instance));
            foreach (var field in fields.Where(field => typeof(Delegate).IsAssignableFrom(field.FieldType)))
            {
                if (Value(field, of) is Delegate handlers)
                {
                    yield return ($"a handler of {type.Name}.{field.Name.TrimStart('_')}", handlers);
                }
            }
        }
        foreach (var other in others)
        {
            foreach (var field in other.Statics())
            {
                if (Value(field) is { } value)
                {
                    yield return ($"the field {field.DeclaringType?.FullName}.{field.Name} of {other.Name}", value);
                }
            }
        }
    }

    /// <summary>All timers that are due, which .NET tells debuggers.</summary>
    private static List<object> Timers()
    {
        const BindingFlags Any = Statics | BindingFlags.Instance;
        try
        {
            var queue = typeof(Timer).Assembly.GetType("System.Threading.TimerQueue");
            var list = queue?.GetMethod("GetTimersForDebugger", Any, []);
            var queues = list is { IsStatic: true } ? [null] : queue?.GetProperty("Instances", Any)?.GetValue(null) as object?[] ?? [];
            return [.. queues.SelectMany(each => (list?.Invoke(each, null) as System.Collections.IEnumerable)?.Cast<object>() ?? [])];
        }
        catch (Exception)
        {
            // Another version of .NET.
            return [];
        }
    }

    private static object? Value(FieldInfo field, object? of = null)
    {
        try
        {
            return field.GetValue(field.IsStatic ? null : of);
        }
        catch (Exception)
        {
            return null;
        }
    }

    /// <summary>Follows references from something that lives on, for a few steps.</summary>
    private sealed class Search(AssemblyLoadContext context)
    {
        private const int MaxObjects = 2000;
        private const int MaxDepth = 8;

        private readonly HashSet<object> _seen = new(ReferenceEqualityComparer.Instance);
        private readonly Queue<(object Value, int Depth)> _next = new();

        /// <summary>A type of the context that is reached.</summary>
        internal Type? Find(object root)
        {
            Add(root, 0);
            while (_next.TryDequeue(out var next) && _seen.Count < MaxObjects)
            {
                if (Look(next.Value, next.Depth + 1) is { } found)
                {
                    return found;
                }
            }
            return null;
        }

        private Type? Look(object value, int depth)
        {
            if (Owned(value.GetType()) is { } type)
            {
                return type;
            }
            if (value is Delegate handlers)
            {
                foreach (var handler in handlers.GetInvocationList())
                {
                    if (handler.Method.DeclaringType is { } declaring && Owned(declaring) is { } owned)
                    {
                        return owned;
                    }
                    Add(handler.Target, depth);
                }
            }
            else if (value is Array array)
            {
                if (array.GetType().GetElementType() is { IsPrimitive: false })
                {
                    foreach (var element in array)
                    {
                        if (_seen.Count >= MaxObjects)
                        {
                            break;
                        }
                        Add(element, depth);
                    }
                }
            }
            else
            {
                for (var of = value.GetType(); of is not null && of != typeof(object); of = of.BaseType)
                {
                    AddFields(value, of, depth);
                }
            }
            return null;
        }

        private void AddFields(object value, Type type, int depth)
        {
            const BindingFlags Fields = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
            foreach (var field in type.GetFields(Fields))
            {
                if (!field.FieldType.IsPointer && !field.FieldType.IsPrimitive && !field.FieldType.IsEnum)
                {
                    Add(field.GetValue(value), depth);
                }
            }
        }

        private void Add(object? value, int depth)
        {
            if (value is not (null or string or MemberInfo or Assembly or AssemblyLoadContext or Pointer or Thread)
                && depth <= MaxDepth && _seen.Count < MaxObjects && _seen.Add(value))
            {
                _next.Enqueue((value, depth));
            }
        }

        /// <summary>The type itself, or one that it is made of, where that is of the context.</summary>
        private Type? Owned(Type type)
        {
            if (AssemblyLoadContext.GetLoadContext(type.Assembly) == context)
            {
                return type;
            }
            return type.HasElementType ? Owned(type.GetElementType()!)
                : type.GetGenericArguments().Select(Owned).FirstOrDefault(owned => owned is not null);
        }
    }
}

using System.Reflection;

namespace Polyhost;

/// <summary>Finds the exports of an assembly and binds each to a delegate, once: calls use no reflection.</summary>
internal sealed class Exports(GuestModule module, Documentation documentation)
{
    private const BindingFlags Methods = BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public
        | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    private const string Forms = "Reply M(Request), Task<Reply> M(Request), ValueTask<Reply> M(Request), where Request "
        + "and Reply are messages of Google.Protobuf or byte[], or void M(ReadOnlySpan<byte>, Output); each with a "
        + "CallContext as last parameter, too";

    // Of types that .NET has compiled code for: others are compiled at the first load, which is a tenth of a start.
    private readonly Dictionary<string, Function> _functions = new(StringComparer.Ordinal);
    private readonly Dictionary<string, MethodInfo> _methods = new(StringComparer.Ordinal);
    private readonly Dictionary<Type, object> _instances = [];

    /// <summary>The exports, sorted by name.</summary>
    internal Function[] Functions
    {
        get
        {
            Function[] functions = [.. _functions.Values];
            Array.Sort(functions, static (a, b) => string.CompareOrdinal(a.Name, b.Name));
            return functions;
        }
    }

    /// <summary>The objects whose methods they are.</summary>
    internal object[] Instances => [.. _instances.Values];

    /// <summary>The messages that they take and return.</summary>
    internal DescriptorSet Descriptors { get; } = new();

    internal void Find(Assembly assembly)
    {
        foreach (var method in assembly.GetTypes().SelectMany(type => type.GetMethods(Methods)))
        {
            // The look at `IsDefined` makes no object, and nearly all methods are none.
            if (method.IsDefined(typeof(ExportAttribute), inherit: false))
            {
                foreach (var export in method.GetCustomAttributes<ExportAttribute>(inherit: false))
                {
                    Add(export, method);
                }
            }
        }
    }

    private void Add(ExportAttribute export, MethodInfo method)
    {
        if (string.IsNullOrEmpty(export.Name))
        {
            throw new LoadException($"{Describe(method)} is exported under an empty name; give it one");
        }
        if (_methods.TryGetValue(export.Name, out var other))
        {
            throw new LoadException($"two methods are exported as {export.Name}: {Describe(other)} and "
                + $"{Describe(method)}; give one of them another name");
        }
        var function = Bind(export.Name, method);
        function.Doc = export.Doc ?? documentation.Summary(method);
        _functions.Add(export.Name, function);
        _methods.Add(export.Name, method);
    }

    private Function Bind(string name, MethodInfo method)
    {
        if (method.ContainsGenericParameters)
        {
            throw new LoadException($"export {name}: {Describe(method)} is generic; export a method that is not");
        }
        var parameters = method.GetParameters().Select(parameter => parameter.ParameterType).ToArray();
        var context = parameters.Length > 0 && parameters[^1] == typeof(CallContext);
        var inputs = context ? parameters[..^1] : parameters;
        if (inputs.SequenceEqual([typeof(ReadOnlySpan<byte>), typeof(Output)]) && method.ReturnType == typeof(void))
        {
            var target = Target(method);
            return new Function(name, context
                ? new SpanContextCall(module, method.CreateDelegate<SpanContextCall.Method>(target)).Run
                : method.CreateDelegate<Handler>(target));
        }
        var (reply, wrapper) = Unwrap(method.ReturnType);
        if (inputs.Length != 1 || !IsValue(inputs[0]) || !IsValue(reply))
        {
            throw new LoadException($"export {name}: {Describe(method)} has none of the forms that can be called: {Forms}");
        }
        return BindValues(name, method, inputs[0], reply, CallType(wrapper, context));
    }

    private Function BindValues(string name, MethodInfo method, Type request, Type reply, Type call)
    {
        var closed = call.MakeGenericType(request, reply);
        var constructor = closed.GetConstructors(BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public)[0];
        var target = method.CreateDelegate(constructor.GetParameters()[2].ParameterType, Target(method));
        var runner = constructor.Invoke(BindingFlags.DoNotWrapExceptions, null, [module, name, target], null);
        var run = closed.BaseType!.GetMethod(nameof(ExportCall<byte[], byte[]>.Run), Methods & ~BindingFlags.DeclaredOnly)!;
        return new Function(name, run.CreateDelegate<Handler>(runner))
        {
            InputType = Descriptors.Add(request),
            OutputType = Descriptors.Add(reply),
        };
    }

    /// <summary>The type of the reply, and the generic type of the task that brings it, if any.</summary>
    private static (Type Reply, Type? Wrapper) Unwrap(Type type)
    {
        var wrapper = type.IsGenericType ? type.GetGenericTypeDefinition() : null;
        return wrapper == typeof(Task<>) || wrapper == typeof(ValueTask<>) ? (type.GetGenericArguments()[0], wrapper) : (type, null);
    }

    private static Type CallType(Type? wrapper, bool context) => (wrapper, context) switch
    {
        (null, false) => typeof(PlainCall<,>),
        (null, true) => typeof(ContextCall<,>),
        (_, false) => wrapper == typeof(Task<>) ? typeof(TaskCall<,>) : typeof(ValueTaskCall<,>),
        (_, true) => wrapper == typeof(Task<>) ? typeof(TaskContextCall<,>) : typeof(ValueTaskContextCall<,>),
    };

    private static bool IsValue(Type type) => type == typeof(byte[]) || MessageType.Message(type) is not null;

    /// <summary>What an instance method is called on: one object of its class for the whole module.</summary>
    private object? Target(MethodInfo method)
    {
        if (method.IsStatic)
        {
            return null;
        }
        var type = method.DeclaringType!;
        if (_instances.TryGetValue(type, out var instance))
        {
            return instance;
        }
        var constructor = type.IsAbstract ? null : type.GetConstructor(Methods & ~BindingFlags.Static, []);
        if (constructor is null)
        {
            throw new LoadException($"{Describe(method)} is exported, but {type} can't be made: it has no constructor "
                + "without parameters; add one, or make the method static");
        }
        try
        {
            return _instances[type] = constructor.Invoke(BindingFlags.DoNotWrapExceptions, null, null, null);
        }
        catch (Exception e) when (!Loading.IsMissingAssembly(e))
        {
            // A file that the guest's own code did not find is none of the module's.
            throw new LoadException($"the constructor of {type} failed: {e.GetType().FullName}: {e.Message}", Error.Guest(e, depth: 8), e);
        }
    }

    private static string Describe(MethodInfo method)
    {
        var parameters = string.Join(", ", method.GetParameters().Select(parameter => parameter.ParameterType.Name));
        return $"{method.DeclaringType?.FullName}.{method.Name}({parameters}) returning {method.ReturnType.Name}";
    }
}

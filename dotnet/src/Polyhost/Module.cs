using System.Collections.Concurrent;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using System.Text;

namespace Polyhost;

/// <summary>A loaded guest: its load context, its instances, and its exports.</summary>
internal sealed unsafe class Module
{
    /// <summary>A collectible context takes two rounds; more are for what finalizers hold.</summary>
    private const int CollectRounds = 10;

    private static readonly ConcurrentDictionary<ulong, Module> s_open = new();

    /// <summary>Modules that are closed, but may still be held by something.</summary>
    private static readonly ConcurrentDictionary<ulong, Closed> s_closed = new();
    private static ulong s_lastId;

    private readonly List<nint> _memory = [];
    private Function[] _functions = [];
    private object[] _instances = [];
    private byte[] _descriptors = [];
    private Documentation _documentation = new(null);
    private GuestLoadContext? _context;

    private Module(GuestModule guest) => Guest = guest;

    /// <summary>As call contexts see it.</summary>
    internal GuestModule Guest { get; }

    /// <summary>The name in errors.</summary>
    internal string Name => Guest.Name;

    /// <summary>Loads a module and tells the host what there is.</summary>
    internal static void Open(PolyhostSource* source, PolyhostModule* description)
    {
        var module = new Module(new GuestModule(source->Name.ToString(), source->Module));
        try
        {
            module.Load(source);
            module.Describe(description);
            description->Module = Interlocked.Increment(ref s_lastId);
            s_open[description->Module] = module;
        }
        catch (Exception e) when (e is BoundaryException or CompileException)
        {
            module.Release();
            throw;
        }
        catch (Exception e)
        {
            var failure = Loading.Failure(module.Name, module._context?.Looked ?? "", e);
            module.Release();
            throw failure;
        }
    }

    /// <summary>Unloads a module, or looks again at one that was unloaded; writes what holds it, if something does.
    /// </summary>
    internal static void Close(ulong id, PolyhostOutput* held)
    {
        if (s_open.TryRemove(id, out var module))
        {
            var abandoned = Abandon(ref module);
            if (held->Limit != 0)
            {
                s_closed[id] = abandoned;
            }
        }
        if (held->Limit == 0 || !s_closed.TryGetValue(id, out var closed))
        {
            return;
        }
        for (var round = 0; round < CollectRounds && closed.Context.IsAlive; round++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        if (closed.Context.IsAlive)
        {
            new Output(held, null).Write(Encoding.UTF8.GetBytes(string.Join('\n', closed.Held())));
        }
        else
        {
            s_closed.TryRemove(id, out _);
        }
    }

    /// <summary>The modules that are open.</summary>
    internal static GuestModule?[] Opened() => [.. s_open.Values.Select(module => module.Guest)];

    /// <summary>Refuses every call of a module from now on, with the reason. Those inside go on.</summary>
    internal static void Stop(GuestModule guest, string reason)
    {
        foreach (var module in s_open.Values.Where(module => module.Guest == guest))
        {
            foreach (var function in module._functions)
            {
                function.Handler = (_, _) => throw new BoundaryException(ErrorKind.Closed, reason);
            }
        }
    }

    // Not inlined, so that no temporary of it stays alive in the frame of the caller.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Closed Abandon(ref Module module)
    {
        var context = new WeakReference(module._context, trackResurrection: true);
        var closed = new Closed(context, module.Name, module._context?.Suspects() ?? []);
        module.Release();
        module = null!;
        return closed;
    }

    /// <summary>The static fields of its types that can hold something and be read without running code of it.</summary>
    internal IEnumerable<FieldInfo> Statics() => _context?.Assemblies.SelectMany(Statics) ?? [];

    private static FieldInfo[] Statics(Assembly assembly)
    {
        const BindingFlags Fields = BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        try
        {
            // A type with an initializer may not have run it as yet, and reading a field of it would.
            var types = assembly.GetTypes().Where(type => type.TypeInitializer is null && !type.ContainsGenericParameters);
            return [.. types.SelectMany(type => type.GetFields(Fields)).Where(field => !field.IsLiteral && !field.FieldType.IsPrimitive)];
        }
        catch (Exception)
        {
            // Types of a library may lack what they are made of, which is no reason to fail another module's unload.
            return [];
        }
    }

    private void Load(PolyhostSource* source)
    {
        var config = Config.Parse(source->Options.ToString());
        var assembly = source->Kind switch
        {
            PolyhostSource.PathKind when Name.EndsWith(".cs", StringComparison.OrdinalIgnoreCase) => LoadSource(null, config),
            PolyhostSource.PathKind => LoadFile(config),
            PolyhostSource.BytesKind => LoadBytes(source->Data.Span.ToArray(), config),
            PolyhostSource.TextKind => LoadSource(source->Data.ToString(), config),
            _ => throw new LoadException($"the .NET shim knows no source of kind {source->Kind}"),
        };
        Loading.CheckVersions(Name, assembly);
        var exports = new Exports(Guest, _documentation);
        try
        {
            exports.Find(assembly);
        }
        finally
        {
            _instances = exports.Instances;
        }
        _descriptors = exports.Descriptors.Written.ToArray();
        foreach (var function in exports.Functions)
        {
            FunctionTable.Add(function);
        }
        _functions = exports.Functions;
    }

    private Assembly LoadFile(Config config)
    {
        _documentation = Documentation.Beside(Name);
        _context = new GuestLoadContext(Guest, Name, config.References);
        return _context.LoadFile(Name);
    }

    private Assembly LoadBytes(byte[] image, Config config)
    {
        _context = new GuestLoadContext(Guest, null, config.References);
        var assembly = _context.LoadBytes(image, null);
        _context.IsCompilers = assembly.GetName().Name == SourceCompiler.AssemblyName;
        return assembly;
    }

    private Assembly LoadSource(string? text, Config config)
    {
        var compiled = SourceCompiler.Compile(Name, text, config);
        foreach (var warning in compiled.Warnings)
        {
            Log.Write(Guest, LogLevel.Warn, warning, "compiler");
        }
        _documentation = new Documentation(compiled.Documentation);
        var folders = compiled.References.Select(file => Path.GetDirectoryName(file)!);
        _context = new GuestLoadContext(Guest, null, [.. config.References, .. folders.Distinct()]);
        return _context.LoadBytes(compiled.Assembly, compiled.Symbols);
    }

    /// <summary>What it exports, in memory that is freed when it is closed.</summary>
    private void Describe(PolyhostModule* description)
    {
        var exports = (PolyhostExport*)Allocate(_functions.Length * sizeof(PolyhostExport));
        for (var i = 0; i < _functions.Length; i++)
        {
            var function = _functions[i];
            exports[i] = new PolyhostExport
            {
                Size = (uint)sizeof(PolyhostExport),
                Function = function.Id,
                Name = Keep(function.Name),
                InputType = Keep(function.InputType),
                OutputType = Keep(function.OutputType),
                Doc = Keep(function.Doc),
            };
        }
        description->Exports = exports;
        description->ExportsLength = (nuint)_functions.Length;
        description->Descriptors = Keep(_descriptors);
    }

    private void Release()
    {
        foreach (var function in _functions)
        {
            FunctionTable.Remove(function);
        }
        _functions = [];
        foreach (var instance in _instances.OfType<IDisposable>())
        {
            try
            {
                instance.Dispose();
            }
            catch (Exception e)
            {
                Log.Write(Guest, LogLevel.Error, $"Dispose failed when the module was closed: {e}", "polyhost");
            }
        }
        _instances = [];
        ConsoleLog.Detach(Guest);
        foreach (var memory in _memory)
        {
            NativeMemory.Free((void*)memory);
        }
        _memory.Clear();
        _context?.Unload();
        _context = null;
    }

    private PolyhostSlice Keep(string text) => Keep(Encoding.UTF8.GetBytes(text));

    private PolyhostSlice Keep(ReadOnlySpan<byte> bytes)
    {
        var memory = Allocate(bytes.Length);
        bytes.CopyTo(new Span<byte>(memory, bytes.Length));
        return new PolyhostSlice(memory, bytes.Length);
    }

    private byte* Allocate(int size)
    {
        var memory = (byte*)NativeMemory.AllocZeroed((nuint)Math.Max(1, size));
        _memory.Add((nint)memory);
        return memory;
    }

    /// <summary>What is known of a module that is closed.</summary>
    private sealed record Closed(WeakReference Context, string Name, string[] Suspects)
    {
        /// <summary>What holds it, as far as that can be seen, or else what may.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        internal IEnumerable<string> Held()
        {
            List<string> seen = Context.Target is AssemblyLoadContext context ? Holders.Find(context, s_open.Values) : [];
            List<string> unseen =
            [
                $"the load context of {Name} is still referenced by what can't be seen: a thread or task of its own that runs, "
                    + "a GC handle, or a value that another module or the framework keeps",
            ];
            return [.. seen.Count > 0 ? seen : unseen, .. Suspects];
        }
    }
}

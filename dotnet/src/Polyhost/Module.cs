using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Polyhost;

/// <summary>A loaded guest: its load context, its instances, and its exports.</summary>
internal sealed unsafe class Module
{
    /// <summary>A collectible context takes two rounds; more are for what finalizers hold.</summary>
    private const int CollectRounds = 10;

    private static readonly ConcurrentDictionary<ulong, Module> s_open = new();
    private static ulong s_lastId;

    private readonly List<nint> _memory = [];
    private Function[] _functions = [];
    private object[] _instances = [];
    private byte[] _descriptors = [];
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
        catch (BoundaryException)
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

    /// <summary>Unloads a module; writes what holds it, if something does.</summary>
    internal static void Close(ulong id, Output held)
    {
        if (!s_open.TryRemove(id, out var module))
        {
            throw new StatusException(StatusCode.NotFound, "this module is closed already");
        }
        var context = Abandon(ref module, out var hints);
        for (var round = 0; round < CollectRounds && context.IsAlive; round++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        if (context.IsAlive)
        {
            held.Write(Encoding.UTF8.GetBytes(string.Join('\n', hints)));
        }
    }

    // Not inlined, so that no temporary of it stays alive in the frame of the caller.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference Abandon(ref Module module, out string[] hints)
    {
        var context = new WeakReference(module._context, trackResurrection: true);
        hints = module._context?.Holders() ?? [];
        module.Release();
        module = null!;
        return context;
    }

    private void Load(PolyhostSource* source)
    {
        var config = Config.Parse(source->Options.ToString());
        var path = source->Kind == PolyhostSource.PathKind ? Name : null;
        _context = new GuestLoadContext(this, path, config.References);
        var assembly = path is null ? _context.LoadBytes(source->Data.Span.ToArray(), null) : _context.LoadFile(path);
        Loading.CheckVersions(Name, assembly);
        var exports = new Exports(this, path is null ? new Documentation(null) : Documentation.Beside(path));
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
}

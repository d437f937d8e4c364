using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

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
    private GuestLoadContext? _context;

    private Module(PolyhostSource* source)
    {
        Guest = new GuestModule(source->Name.ToString(), source->Module);
    }

    /// <summary>As call contexts see it.</summary>
    internal GuestModule Guest { get; }

    /// <summary>The name in errors.</summary>
    internal string Name => Guest.Name;

    internal static Module Open(PolyhostSource* source, out ulong id)
    {
        var module = new Module(source);
        try
        {
            module.Load(source);
            id = Interlocked.Increment(ref s_lastId);
            s_open[id] = module;
            return module;
        }
        catch (Exception)
        {
            module.Release();
            throw;
        }
    }

    /// <summary>Tells the host what there is. The memory is freed by <see cref="Close"/>.</summary>
    internal void Describe(PolyhostModule* description)
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
    }

    internal static void Close(ulong id, Output held)
    {
        if (!s_open.TryRemove(id, out var module))
        {
            throw new StatusException(StatusCode.NotFound, "this module is closed already");
        }
        var context = Abandon(ref module);
        for (var round = 0; round < CollectRounds && context.IsAlive; round++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        if (context.IsAlive)
        {
            held.Write("something"u8);
        }
    }

    // Not inlined, so that no temporary of it stays alive in the frame of the caller.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference Abandon(ref Module module)
    {
        var context = new WeakReference(module._context, trackResurrection: true);
        module.Release();
        module = null!;
        return context;
    }

    private void Load(PolyhostSource* source)
    {
        var path = source->Kind == PolyhostSource.PathKind ? Name : null;
        _context = new GuestLoadContext(this, path, []);
        var assembly = path is null ? _context.LoadBytes(source->Data.Span.ToArray(), null) : _context.LoadFile(path);
        _functions = Exports.Find(this, assembly);
        foreach (var function in _functions)
        {
            FunctionTable.Add(function);
        }
    }

    private void Release()
    {
        foreach (var function in _functions.Where(function => function.Id != 0))
        {
            FunctionTable.Remove(function);
        }
        _functions = [];
        foreach (var memory in _memory)
        {
            NativeMemory.Free((void*)memory);
        }
        _memory.Clear();
        _context?.Unload();
        _context = null;
    }

    private PolyhostSlice Keep(string text) => Keep(System.Text.Encoding.UTF8.GetBytes(text));

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

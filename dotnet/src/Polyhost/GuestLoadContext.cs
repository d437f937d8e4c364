using System.Reflection;
using System.Runtime.Loader;

namespace Polyhost;

/// <summary>
/// The load context of one module, which goes with it. The framework and Polyhost.Guest come from the default context;
/// everything else is the module's own, read into memory, so that its files can be replaced while it runs.
/// </summary>
internal sealed class GuestLoadContext : AssemblyLoadContext
{
    private readonly AssemblyDependencyResolver? _resolver;
    private readonly string[] _folders;

    internal GuestLoadContext(Module module, string? path, IEnumerable<string> references)
        : base(module.Name, isCollectible: true)
    {
        Module = module;
        // Without a deps.json the resolver would offer every file of the folder, as we do ourselves for less.
        if (path is not null && File.Exists(Path.ChangeExtension(path, ".deps.json")))
        {
            _resolver = new AssemblyDependencyResolver(path);
        }
        var own = path is null ? null : Path.GetDirectoryName(path);
        _folders = [.. new[] { own }.OfType<string>(), .. references];
    }

    /// <summary>The module it belongs to.</summary>
    internal Module Module { get; }

    /// <summary>Where an assembly was looked for, for errors.</summary>
    internal string Looked => _folders.Length == 0 ? "no folder (give option references=)" : string.Join(", ", _folders);

    /// <summary>What is likely to hold it when something does; the runtime can't tell.</summary>
    internal string[] Holders()
    {
        var caches = Assemblies.SelectMany(assembly => assembly.GetReferencedAssemblies().Select(name => name.Name))
            .Where(name => name is "System.Text.Json" or "Newtonsoft.Json" or "System.ComponentModel.TypeConverter")
            .Distinct().Select(name => $"perhaps {name}, which keeps types that it has seen for ever");
        return
        [
            $"the load context of {Name} is still referenced: a thread, timer or task of its own that runs, a value kept by another module, or a handler on a static event",
            .. caches,
        ];
    }

    internal Assembly LoadFile(string path)
    {
        var symbols = Path.ChangeExtension(path, ".pdb");
        return LoadBytes(File.ReadAllBytes(path), File.Exists(symbols) ? File.ReadAllBytes(symbols) : null);
    }

    internal Assembly LoadBytes(byte[] assembly, byte[]? symbols)
    {
        using var image = new MemoryStream(assembly, writable: false);
        using var pdb = symbols is null ? null : new MemoryStream(symbols, writable: false);
        return LoadFromStream(image, pdb);
    }

    protected override Assembly? Load(AssemblyName name)
    {
        if (name.Name == typeof(ExportAttribute).Assembly.GetName().Name)
        {
            // Attributes and contexts have to be the same types on both sides.
            return typeof(ExportAttribute).Assembly;
        }
        if (Framework.Find(name) is { } framework)
        {
            return framework;
        }
        var path = _resolver?.ResolveAssemblyToPath(name) ?? Probe(name);
        return path is null ? null : LoadFile(path);
    }

    protected override nint LoadUnmanagedDll(string name)
    {
        var path = _resolver?.ResolveUnmanagedDllToPath(name) ?? ProbeNative(name);
        return path is null ? 0 : LoadUnmanagedDllFromPath(path);
    }

    private string? Probe(AssemblyName name)
    {
        var file = Path.Combine(name.CultureName ?? "", name.Name + ".dll");
        return _folders.Select(folder => Path.Combine(folder, file)).FirstOrDefault(File.Exists);
    }

    private string? ProbeNative(string name)
    {
        string[] files = [name, $"lib{name}.so", $"{name}.so"];
        return _folders.SelectMany(folder => files.Select(file => Path.Combine(folder, file))).FirstOrDefault(File.Exists);
    }
}

/// <summary>The assemblies of the shared frameworks that this process runs on.</summary>
internal static class Framework
{
    private static readonly HashSet<string> s_names = Names();

    /// <summary>The framework's assembly of that name, if it is no older than asked for.</summary>
    internal static Assembly? Find(AssemblyName name)
    {
        if (name.Name is null || !s_names.Contains(name.Name))
        {
            return null;
        }
        try
        {
            return AssemblyLoadContext.Default.LoadFromAssemblyName(name);
        }
        catch (Exception e) when (e is FileNotFoundException or FileLoadException)
        {
            // A package brought a newer one.
            return null;
        }
    }

    /// <summary>Paths of all of them.</summary>
    internal static IEnumerable<string> Paths()
    {
        var all = (AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES") as string ?? "").Split(Path.PathSeparator);
        // An application's own assemblies are on that list, too; frameworks lie in shared/<framework>/<version>.
        var root = Path.GetDirectoryName(Path.GetDirectoryName(Path.GetDirectoryName(typeof(object).Assembly.Location)));
        return all.Where(path => path.Length > 0 && root is not null && path.StartsWith(root, StringComparison.Ordinal));
    }

    private static HashSet<string> Names() => Paths().Select(path => Path.GetFileNameWithoutExtension(path)).ToHashSet();
}

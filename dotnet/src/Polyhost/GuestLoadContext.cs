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
    private readonly string[] _references;

    internal GuestLoadContext(GuestModule module, string? path, IEnumerable<string> references, bool isCollectible = true)
        : base(module.Name, isCollectible)
    {
        Guest = module;
        var own = path is null ? null : Path.GetDirectoryName(path);
        // What a build copies lies beside the module, and to look there costs less than to ask the resolver. Only it
        // knows which of the files in `runtimes` are for this platform, and that they go before those beside.
        if (path is not null && Directory.Exists(Path.Combine(own!, "runtimes")) && File.Exists(Path.ChangeExtension(path, ".deps.json")))
        {
            _resolver = new AssemblyDependencyResolver(path);
        }
        _references = [.. new[] { own }.OfType<string>(), .. references];
    }

    /// <summary>The module it belongs to.</summary>
    internal GuestModule Guest { get; }

    /// <summary>Whether it is the compiler's. Its libraries are loaded as files, because compiled ahead of time they
    /// start in half the time, and nobody replaces them. They may be older than what Polyhost.Compiler is built with, and
    /// so may the framework: what is used of both has not changed since Roslyn 4.8.</summary>
    internal bool IsCompilers { get; set; }

    /// <summary>Where an assembly was looked for, for errors.</summary>
    internal string Looked => _references.Length == 0 ? "a folder (it has none)" : string.Join(", ", _references);

    /// <summary>Libraries in it that are known to hold what they have seen.</summary>
    internal string[] Suspects() =>
        [.. Assemblies.SelectMany(assembly => assembly.GetReferencedAssemblies().Select(name => name.Name))
            .Where(name => name is "System.Text.Json" or "Newtonsoft.Json" or "System.ComponentModel.TypeConverter")
            .Distinct().Select(name => $"perhaps {name}, which keeps types that it has seen for ever")];

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
        if (IsCompilers)
        {
            return path is not null ? LoadFromAssemblyPath(path) : Default.LoadFromAssemblyName(new AssemblyName(name.Name!));
        }
        return path is not null ? LoadFile(path) : null;
    }

    protected override nint LoadUnmanagedDll(string name)
    {
        var path = _resolver?.ResolveUnmanagedDllToPath(name) ?? ProbeNative(name);
        return path is null ? 0 : LoadUnmanagedDllFromPath(NativeFiles.Name(path));
    }

    private string? Probe(AssemblyName name) => Probe(Path.Combine(name.CultureName ?? "", name.Name + ".dll"));

    /// <summary>A file by its name, in the folders or among the files to look at.</summary>
    private string? Probe(string file) => _references
        .Select(reference => Path.GetFileName(reference) == file ? reference : Path.Combine(reference, file))
        .FirstOrDefault(File.Exists);

    private string? ProbeNative(string name)
    {
        string[] files = [name, $"lib{name}.so", $"{name}.so"];
        return files.Select(Probe).FirstOrDefault(path => path is not null);
    }
}

/// <summary>The native libraries that modules have loaded. They stay for as long as the process.</summary>
internal static class NativeFiles
{
    /// <summary>By path: the files that were loaded from there, one after the other.</summary>
    private static readonly Dictionary<string, List<(long Length, DateTime Written, DateTime Created)>> s_loaded = [];

    /// <summary>A name of the path by which dlopen gives what is there now: it gives what it has under a name without
    /// looking whether the file is still the same. Each <c>./</c> makes another name.</summary>
    internal static string Name(string path)
    {
        path = Path.GetFullPath(path);
        var file = new FileInfo(File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? path);
        var found = (file.Length, file.LastWriteTimeUtc, file.CreationTimeUtc);
        lock (s_loaded)
        {
            if (!s_loaded.TryGetValue(path, out var files))
            {
                s_loaded[path] = files = [];
            }
            var number = files.IndexOf(found);
            if (number < 0)
            {
                number = files.Count;
                files.Add(found);
            }
            var same = string.Concat(Enumerable.Repeat("./", number));
            return $"{Path.GetDirectoryName(path)}/{same}{Path.GetFileName(path)}";
        }
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

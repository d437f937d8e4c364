using System.Reflection;

namespace Polyhost;

/// <summary>Compiles modules that are given as source, by Polyhost.Compiler and the Roslyn that is found on the machine,
/// in a load context that stays.</summary>
internal static class SourceCompiler
{
    internal const string AssemblyName = "Polyhost.Compiler";

    private static readonly object s_lock = new();
    private static Func<string, string?, string[], CompiledModule>? s_compile;

    /// <summary>Compiles the module called <paramref name="name"/>, which is a path where <paramref name="text"/> is
    /// <see langword="null"/>.</summary>
    internal static CompiledModule Compile(string name, string? text, Config config)
    {
        Func<string, string?, string[], CompiledModule> compile;
        lock (s_lock)
        {
            compile = s_compile ??= Load(config.Roslyn ?? throw new LoadException(
                $"{name} is C# source, and no compiler for it was found; install a .NET SDK, or load a compiled assembly"));
        }
        return compile(name, text, config.References);
    }

    private static Func<string, string?, string[], CompiledModule> Load(string roslyn)
    {
        using var resource = typeof(SourceCompiler).Assembly.GetManifestResourceStream(AssemblyName + ".dll")!;
        var image = new byte[resource.Length];
        resource.ReadExactly(image);
        // To unload it would cost every compilation the second or two that the compiler takes to warm up.
        var context = new GuestLoadContext(new GuestModule(AssemblyName, 0), null, [roslyn], isCollectible: false);
        context.IsCompilers = true;
        var compile = context.LoadBytes(image, null).GetType("Polyhost.Compiler.SourceModule")!
            .GetMethod("Compile", BindingFlags.Static | BindingFlags.NonPublic)!;
        return compile.CreateDelegate<Func<string, string?, string[], CompiledModule>>();
    }
}

using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Emit;
using Microsoft.CodeAnalysis.Text;

namespace Polyhost.Compiler;

/// <summary>Compiles C#, against the framework that this process runs on.</summary>
internal static class CSharp
{
    /// <summary>More errors or warnings than these are more than anybody reads at once.</summary>
    private const int MaxMessages = 20;

    // What the SDK adds with ImplicitUsings: Microsoft.NET.Sdk.CSharp.props and Microsoft.NET.Sdk.Web.props.
    private static readonly string[] s_usings =
    [
        "System", "System.Collections.Generic", "System.IO", "System.Linq", "System.Net.Http", "System.Threading",
        "System.Threading.Tasks",
    ];

    private static readonly string[] s_webUsings =
    [
        "System.Net.Http.Json", "Microsoft.AspNetCore.Builder", "Microsoft.AspNetCore.Hosting",
        "Microsoft.AspNetCore.Http", "Microsoft.AspNetCore.Routing", "Microsoft.Extensions.Configuration",
        "Microsoft.Extensions.DependencyInjection", "Microsoft.Extensions.Hosting", "Microsoft.Extensions.Logging",
    ];

    // Newer frameworks stand in for older ones, as they do at run time; the SDK does not mention it either.
    private static readonly Dictionary<string, ReportDiagnostic> s_quiet = new()
    {
        ["CS1701"] = ReportDiagnostic.Suppress,
        ["CS1702"] = ReportDiagnostic.Suppress,
    };

    // The framework's files stay what they are, and to read their metadata takes most of the time.
    private static readonly Lazy<MetadataReference[]> s_framework = new(Framework);

    /// <summary>Compiles, or throws a <see cref="CompileException"/>.</summary>
    internal static CompiledModule Compile(Request request)
    {
        var parse = new CSharpParseOptions(request.Language, DocumentationMode.Parse, preprocessorSymbols: Symbols(request));
        var trees = request.Sources.Select(source => Parse(source, parse)).ToList();
        var references = request.References.Concat(FindUsed(trees, request)).Distinct().ToArray();
        trees.Add(Parse(new Source("implicit.g.cs", Implicit(request)), parse));
        var options = new CSharpCompilationOptions(
            request.IsProgram ? OutputKind.ConsoleApplication : OutputKind.DynamicallyLinkedLibrary,
            optimizationLevel: OptimizationLevel.Release,
            allowUnsafe: true,
            deterministic: true,
            specificDiagnosticOptions: s_quiet,
            nullableContextOptions: request.IsPlain ? NullableContextOptions.Disable : NullableContextOptions.Enable);
        var all = references.Select(file => MetadataReference.CreateFromFile(file)).Concat(s_framework.Value);
        return Emit(CSharpCompilation.Create(request.Name, trees, all, options), references);
    }

    private static CompiledModule Emit(CSharpCompilation compilation, string[] references)
    {
        using var assembly = new MemoryStream();
        using var symbols = new MemoryStream();
        using var documentation = new MemoryStream();
        var portable = new EmitOptions(debugInformationFormat: DebugInformationFormat.PortablePdb);
        var result = compilation.Emit(assembly, symbols, documentation, options: portable);
        if (!result.Success)
        {
            throw Failure(result.Diagnostics.Where(diagnostic => diagnostic.Severity == DiagnosticSeverity.Error));
        }
        // Of the documentation's own faults (CS15xx) only its writer wants to know.
        var warnings = result.Diagnostics.Where(diagnostic => diagnostic.Severity == DiagnosticSeverity.Warning
            && !diagnostic.IsSuppressed && !diagnostic.Id.StartsWith("CS15", StringComparison.Ordinal))
            .Select(diagnostic => Describe(diagnostic).ToString()).ToList();
        if (warnings.Count > MaxMessages)
        {
            var more = $"{warnings.Count - MaxMessages} more warnings";
            warnings.RemoveRange(MaxMessages, warnings.Count - MaxMessages);
            warnings.Add(more);
        }
        return new CompiledModule(assembly.ToArray(), symbols.ToArray(), Encoding.UTF8.GetString(documentation.ToArray()),
            references, [.. warnings]);
    }

    private static SyntaxTree Parse(Source source, CSharpParseOptions options) =>
        CSharpSyntaxTree.ParseText(SourceText.From(source.Text, Encoding.UTF8), options, source.Path);

    private static List<string> Symbols(Request request)
    {
        var major = Environment.Version.Major;
        List<string> symbols = [.. request.Defines, "NET", $"NET{major}_0", "NETCOREAPP"];
        symbols.AddRange(Enumerable.Range(5, major - 4).Select(version => $"NET{version}_0_OR_GREATER"));
        return symbols;
    }

    /// <summary>What the SDK writes into every project of its own accord.</summary>
    private static string Implicit(Request request)
    {
        var usings = request.IsPlain ? [] : request.IsWeb ? s_usings.Concat(s_webUsings) : s_usings;
        var text = new StringBuilder();
        foreach (var name in usings)
        {
            text.Append($"global using global::{name};\n");
        }
        text.Append($"[assembly: global::System.Runtime.Versioning.TargetFramework(\".NETCoreApp,Version=v{Environment.Version.ToString(2)}\")]\n");
        text.Append($"[assembly: global::System.Reflection.AssemblyVersion(\"{request.Version}\")]\n");
        return text.ToString();
    }

    /// <summary>Assemblies in the folders that are named like a namespace that a <c>using</c> names, or like its
    /// beginning.</summary>
    private static IEnumerable<string> FindUsed(IEnumerable<SyntaxTree> trees, Request request)
    {
        var nodes = trees.SelectMany(tree => tree.GetRoot().DescendantNodes(node => node is not TypeDeclarationSyntax)).ToList();
        var own = nodes.OfType<BaseNamespaceDeclarationSyntax>().Select(declaration => declaration.Name.ToString()).ToHashSet();
        var usings = nodes.OfType<UsingDirectiveSyntax>().Select(directive => directive.Name?.ToString().Replace("global::", ""));
        var names = usings.OfType<string>().Where(name => !own.Contains(name)).SelectMany(Beginnings).Distinct();
        return names.Select(name => Find(name + ".dll", request.Folders)).OfType<string>();
    }

    private static IEnumerable<string> Beginnings(string name)
    {
        for (var end = name.Length; end > 0; end = name.LastIndexOf('.', end - 1))
        {
            yield return name[..end];
        }
    }

    internal static string? Find(string file, IEnumerable<string> folders) =>
        folders.Select(folder => Path.Combine(folder, file)).FirstOrDefault(File.Exists);

    private static MetadataReference[] Framework()
    {
        var all = (AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES") as string ?? "").Split(Path.PathSeparator);
        var files = all.Where(path => path.Length > 0 && File.Exists(path));
        // Polyhost.Guest was loaded out of memory and has no file.
        return [.. files.Select(file => MetadataReference.CreateFromFile(file)), Guest()];
    }

    private static unsafe PortableExecutableReference Guest()
    {
        var assembly = typeof(ExportAttribute).Assembly;
        if (!System.Reflection.Metadata.AssemblyExtensions.TryGetRawMetadata(assembly, out var data, out var length))
        {
            throw new NotSupportedException("this runtime gives no metadata of an assembly that is loaded");
        }
        // The assembly is never unloaded, so that its metadata stays where it is.
        return AssemblyMetadata.Create(ModuleMetadata.CreateFromMetadata((nint)data, length)).GetReference(display: "Polyhost.Guest");
    }

    private static CompileException Failure(IEnumerable<Diagnostic> diagnostics)
    {
        // Those of parsing come first, as they should: others follow from them.
        var errors = diagnostics.OrderBy(diagnostic => diagnostic.Location.SourceTree is null).Select(Describe).ToList();
        var more = errors.Count == 1 ? "" : $" (and {errors.Count - 1} more)";
        return new CompileException($"{errors[0]}{more}", errors.Take(MaxMessages).ToList());
    }

    private static CompileError Describe(Diagnostic diagnostic)
    {
        var message = diagnostic.GetMessage(System.Globalization.CultureInfo.InvariantCulture);
        if (diagnostic.Location.SourceTree is not { } tree)
        {
            return new CompileError(diagnostic.Id, message, "", 0, 0, "");
        }
        // What #line says counts for people, the text is at the place itself.
        var place = diagnostic.Location.GetMappedLineSpan();
        var text = tree.GetText().Lines[diagnostic.Location.GetLineSpan().StartLinePosition.Line].ToString();
        var start = place.StartLinePosition;
        return new CompileError(diagnostic.Id, message, place.Path, start.Line + 1, start.Character + 1, text);
    }
}

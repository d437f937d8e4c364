namespace Polyhost.Compiler;

/// <summary>Compiles a module out of one file of source, which may name others.</summary>
internal static class SourceModule
{
    /// <summary>Begins a comment, among those on top of a file, that is meant for us.</summary>
    private const string Mark = "polyhost:";

    /// <summary>Compiles the module at <paramref name="path"/>.</summary>
    /// <param name="path">Absolute where it is a file; else what to call it.</param>
    /// <param name="text">Its content; read from the file where it is <see langword="null"/>.</param>
    /// <param name="references">Assemblies, and folders of them.</param>
    internal static CompiledModule Compile(string path, string? text, string[] references)
    {
        var source = text is null ? Source.Read(path) : new Source(path, WithoutByteOrderMark(text));
        var folder = text is null ? Path.GetDirectoryName(path) : null;
        var request = new Request
        {
            Name = Path.GetFileNameWithoutExtension(path),
            Sources = [source],
            References = references.Where(File.Exists).ToList(),
            Folders = [.. new[] { folder }.OfType<string>(), .. references.Where(Directory.Exists)],
        };
        var number = 0;
        foreach (var line in source.Text.Split('\n').TakeWhile(IsComment))
        {
            number++;
            if (Directive(line) is { } directive)
            {
                Obey(directive, request, folder, new Place(path, number, line.TrimEnd()));
            }
        }
        return CSharp.Compile(request);
    }

    private sealed record Place(string File, int Line, string Text)
    {
        internal CompileException Error(string message)
        {
            var error = new CompileError("", message, File, Line, 1, Text);
            return new CompileException(error.ToString(), [error]);
        }
    }

    private static bool IsComment(string line) =>
        string.IsNullOrWhiteSpace(line) || line.StartsWith("//", StringComparison.Ordinal) || line.StartsWith("#!", StringComparison.Ordinal);

    /// <summary>What a comment tells us to do, if anything.</summary>
    private static string? Directive(string line)
    {
        var comment = line.StartsWith("//", StringComparison.Ordinal) ? line[2..].TrimStart() : "";
        return comment.StartsWith(Mark, StringComparison.Ordinal) ? comment[Mark.Length..].Trim() : null;
    }

    /// <summary>The text as reading it from a file would give it.</summary>
    private static string WithoutByteOrderMark(string text) => text.StartsWith('\uFEFF') ? text[1..] : text;

    private static void Obey(string directive, Request request, string? folder, Place place)
    {
        var words = directive.Split(' ', 2, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        switch (words)
        {
            case ["reference", var name]:
                request.References.Add(Reference(name, request, place));
                break;
            case ["source", var pattern]:
                request.Sources.AddRange(Sources(pattern, folder, place).Select(Source.Read));
                break;
            default:
                throw place.Error($"unknown directive {directive}; there are: reference FILE, source FILE");
        }
    }

    private static string Reference(string name, Request request, Place place)
    {
        var file = name.EndsWith(".dll", StringComparison.OrdinalIgnoreCase) ? name : name + ".dll";
        var named = request.References.Find(path => Path.GetFileName(path) == file);
        return named ?? CSharp.Find(file, request.Folders) ?? throw place.Error(request.Folders.Count == 0
            ? $"no {file}: text without a file has no folder; name one by the option references"
            : $"no {file} in {string.Join(", ", request.Folders)}; put it there, or name a folder by the option references");
    }

    private static IEnumerable<string> Sources(string pattern, string? folder, Place place)
    {
        if (folder is null)
        {
            throw place.Error($"no {pattern}: text without a file has no folder");
        }
        // The last part may be a pattern, such as gen/*.cs.
        var within = Path.Combine(folder, Path.GetDirectoryName(pattern) ?? "");
        var files = Directory.Exists(within) ? Directory.GetFiles(within, Path.GetFileName(pattern)) : [];
        if (files.Length == 0)
        {
            throw place.Error($"no {pattern} in {folder}");
        }
        var main = Path.GetFullPath(place.File);
        return files.Where(file => Path.GetFullPath(file) != main).Order(StringComparer.Ordinal);
    }
}

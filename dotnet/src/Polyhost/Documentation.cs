using System.Net;
using System.Reflection;
using System.Text;

namespace Polyhost;

/// <summary>The XML documentation that the compiler writes beside an assembly.</summary>
/// <remarks>Searched as text: to start an XML reader costs more than to start the module.</remarks>
internal sealed class Documentation(string? text)
{
    /// <summary>That of the assembly at <paramref name="path"/>, where there is one.</summary>
    internal static Documentation Beside(string path)
    {
        var file = Path.ChangeExtension(path, ".xml");
        return new Documentation(File.Exists(file) ? File.ReadAllText(file) : null);
    }

    /// <summary>The summary of a method, without its markup; empty where there is none.</summary>
    internal string Summary(MethodInfo method)
    {
        var id = $"\"M:{method.DeclaringType?.FullName?.Replace('+', '.')}.{method.Name}";
        var member = text?.IndexOf(id + "(", StringComparison.Ordinal) ?? -1;
        if (text is null || member < 0)
        {
            return "";
        }
        var end = text.IndexOf("</member>", member, StringComparison.Ordinal);
        var start = text.IndexOf("<summary>", member, StringComparison.Ordinal) + "<summary>".Length;
        var stop = start < "<summary>".Length ? -1 : text.IndexOf("</summary>", start, StringComparison.Ordinal);
        return stop < 0 || stop > end ? "" : Plain(text.AsSpan(start, stop - start));
    }

    /// <summary>Text on one line; of a reference such as <c>&lt;see cref="T:A.B"/&gt;</c> the last part of the name.</summary>
    private static string Plain(ReadOnlySpan<char> markup)
    {
        var plain = new StringBuilder();
        while (markup.IndexOf('<') is >= 0 and var open && markup[open..].IndexOf('>') is > 0 and var length)
        {
            plain.Append(markup[..open]);
            var tag = markup.Slice(open + 1, length - 1);
            if (tag.IndexOf('"') is >= 0 and var quote && tag[(quote + 1)..].IndexOf('"') is > 0 and var size)
            {
                var name = tag.Slice(quote + 1, size);
                var parameters = name.IndexOf('(');
                name = parameters < 0 ? name : name[..parameters];
                plain.Append(name[(name.LastIndexOfAny('.', ':') + 1)..]);
            }
            markup = markup[(open + length + 1)..];
        }
        plain.Append(markup);
        var words = plain.ToString().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        return WebUtility.HtmlDecode(string.Join(' ', words));
    }
}

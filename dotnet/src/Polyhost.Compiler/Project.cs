using System.Xml.Linq;

namespace Polyhost.Compiler;

/// <summary>As much of a project file as can be built without an SDK: the files in its folder, packages whose
/// assemblies are in the folders that are given, and Polyhost.Guest.</summary>
internal sealed class Project
{
    private readonly string _path;
    private readonly XDocument _xml;

    internal Project(string path)
    {
        _path = Path.GetFullPath(path);
        _xml = XDocument.Load(_path);
    }

    internal string Name => Property("AssemblyName") ?? Path.GetFileNameWithoutExtension(_path);

    internal bool IsProgram => IsWeb || Property("OutputType") == "Exe";

    internal bool IsWeb => _xml.Root?.Attribute("Sdk")?.Value == "Microsoft.NET.Sdk.Web";

    /// <summary>The files to compile: what lies in and below the folder, and what the project names besides.</summary>
    internal IEnumerable<string> Sources => CSharpFiles(Folder)
        .Concat(Items("Compile").Select(file => Path.GetFullPath(Path.Combine(Folder, file)))).Distinct();

    private string Folder => Path.GetDirectoryName(_path)!;

    /// <summary>The assemblies of the packages that it names.</summary>
    internal IEnumerable<string> References(IReadOnlyCollection<string> folders)
    {
        foreach (var package in Items("PackageReference"))
        {
            yield return CSharp.Find(package + ".dll", folders) ?? throw new StatusException(StatusCode.FailedPrecondition,
                $"{_path} needs the package {package}, and there is no {package}.dll in {string.Join(", ", folders)}");
        }
        foreach (var project in Items("ProjectReference"))
        {
            if (Path.GetFileNameWithoutExtension(project) != typeof(ExportAttribute).Assembly.GetName().Name)
            {
                throw new StatusException(StatusCode.FailedPrecondition, $"{_path} needs another project, {project}; only an SDK can build it");
            }
        }
    }

    /// <summary>C# files in and below a folder, but for what builds leave behind.</summary>
    internal static IEnumerable<string> CSharpFiles(string folder)
    {
        var files = Directory.GetFiles(folder, "*.cs");
        var folders = Directory.GetDirectories(folder).Where(path => Path.GetFileName(path) is not ("bin" or "obj"));
        return files.Order(StringComparer.Ordinal).Concat(folders.Order(StringComparer.Ordinal).SelectMany(CSharpFiles));
    }

    private IEnumerable<string> Items(string name) =>
        _xml.Descendants(name).Select(item => item.Attribute("Include")?.Value).OfType<string>();

    private string? Property(string name) => _xml.Descendants(name).FirstOrDefault()?.Value;
}

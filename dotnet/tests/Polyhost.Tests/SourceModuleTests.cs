using System.Reflection;
using Polyhost.Compiler;
using Xunit;

namespace Polyhost.Tests;

public sealed class SourceModuleTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("polyhost-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void TextCompilesWithTheUsualUsings()
    {
        var module = SourceModule.Compile("guest.cs", """
            static class Guest
            {
                /// <summary>Doubles.</summary>
                [Polyhost.Export("x/Double")]
                public static byte[] Double(byte[] input) => input.Concat(input).ToArray();
            }
            """, []);
        Assert.Contains("M:Guest.Double(System.Byte[])", module.Documentation, StringComparison.Ordinal);
        Assert.NotEmpty(module.Symbols);
        var name = Assembly.Load(module.Assembly).GetName();
        Assert.Equal("guest", name.Name);
    }

    [Fact]
    public void AnErrorHasFileLineAndText()
    {
        var error = Assert.Throws<CompileException>(() => SourceModule.Compile("bad.cs", "class A\n{\n    int x = \"text\";\n}\n", []));
        var first = Assert.Single(error.Errors);
        Assert.Equal(("CS0029", "bad.cs", 3, "    int x = \"text\";"), (first.Id, first.File, first.Line, first.Text));
        Assert.StartsWith("bad.cs(3,13): CS0029: ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AFileNamesOthersToCompileWithIt()
    {
        Write("parts/b.cs", "static class B { public const int X = 1; }");
        Write("parts/c.cs", "static class C { public const int X = B.X; }");
        var main = Write("a.cs", "// polyhost: source parts/*.cs\nstatic class A { public const int X = C.X; }");
        Assert.NotEmpty(SourceModule.Compile(main, null, []).Assembly);
    }

    [Fact]
    public void AnAssemblyIsFoundByDirectiveOrByTheNamespaceThatIsUsed()
    {
        var library = typeof(Google.Protobuf.IMessage).Assembly.Location;
        var folder = Path.GetDirectoryName(library)!;
        foreach (var source in new[]
        {
            "using Google.Protobuf.WellKnownTypes;\nclass A { Timestamp? t; Timestamp? T => t; }",
            "// polyhost: reference Google.Protobuf\nclass A { Google.Protobuf.IMessage? M => null; }",
            "//polyhost:reference Google.Protobuf\nclass A { Google.Protobuf.IMessage? M => null; }",
            "\uFEFF// polyhost: reference Google.Protobuf\nclass A { Google.Protobuf.IMessage? M => null; }",
        })
        {
            Assert.Equal([library], SourceModule.Compile("a.cs", source, [folder]).References);
        }
        Assert.Equal([library], SourceModule.Compile("a.cs", "class A { Google.Protobuf.IMessage? M => null; }", [library]).References);
    }

    [Theory]
    [InlineData("// polyhost: reference Nothing", "no Nothing.dll in ")]
    [InlineData("// a comment\n// polyhost: source no/*.cs", "no no/*.cs in ")]
    [InlineData("\n// polyhost: dance", "unknown directive dance; there are: reference FILE, source FILE")]
    public void ADirectiveThatCannotBeFollowedIsAnErrorAtItsLine(string source, string expected)
    {
        var main = Write("a.cs", source);
        var error = Assert.Throws<CompileException>(() => SourceModule.Compile(main, null, []));
        Assert.Equal((source.Split('\n').Length, main), (error.Errors[0].Line, error.Errors[0].File));
        Assert.StartsWith(expected, error.Errors[0].Message, StringComparison.Ordinal);
    }

    private string Write(string name, string text)
    {
        var path = Path.Combine(_folder.FullName, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
        return path;
    }
}

using System.Reflection;
using Xunit;

namespace Polyhost.Tests;

public sealed class DocumentationTests
{
    private const string Xml = """
        <doc><members>
          <member name="M:Polyhost.Tests.DocumentationTests.NoSummary(System.Int32)"><returns>x</returns></member>
          <member name="M:Polyhost.Tests.DocumentationTests.Sample(System.Int32)">
            <summary>
              Greets <paramref name="name"/>, see <see cref="M:A.B.Greet(System.String)"/>;
              <c>a &lt; b</c>.
            </summary>
          </member>
        </members></doc>
        """;

    [Theory]
    [InlineData(nameof(Sample), "Greets name, see Greet; a < b.")]
    [InlineData(nameof(NoSummary), "")]
    [InlineData(nameof(Undocumented), "")]
    public void ASummaryIsPlainText(string method, string expected)
    {
        var documentation = new Documentation(Xml);
        Assert.Equal(expected, documentation.Summary(GetMethod(method)));
        Assert.Equal("", new Documentation(null).Summary(GetMethod(method)));
    }

    private static MethodInfo GetMethod(string name) =>
        typeof(DocumentationTests).GetMethod(name, BindingFlags.Static | BindingFlags.NonPublic)!;

    private static void Sample(int i) => _ = i;

    private static void NoSummary(int i) => _ = i;

    private static void Undocumented(int i) => _ = i;
}

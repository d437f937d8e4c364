using System.Text;
using Bench.V1;
using BenchWorkloads;
using Markdig;
using Polyhost;

namespace BenchRender;

/// <summary>Markdown by Markdig, which holds to CommonMark where nothing else is asked for.</summary>
public static class RenderGuest
{
    private static readonly Stages s_stages = new Stages().Add("bench.v1.Bench/Render", RenderRequest.Parser, Render);

    /// <summary>Renders Markdown as HTML.</summary>
    [Export("bench.v1.Bench/Render")]
    public static RenderReply Render(RenderRequest request) => new() { Html = Markdown.ToHtml(request.Markdown) };

    /// <summary>Does a stage of a method so many times.</summary>
    [Export("bench.v1.Stages/Repeat")]
    public static void Repeat(ReadOnlySpan<byte> input, Output output) => s_stages.Repeat(input, output);

    /// <summary>Tells the version of the library.</summary>
    [Export("bench.v1.About/Facts")]
    public static byte[] About(byte[] input) =>
        Encoding.UTF8.GetBytes($"markdown: Markdig {typeof(Markdown).Assembly.GetName().Version?.ToString(3)}\n");
}

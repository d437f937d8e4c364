using System.Text;
using Markdig;
using NodaTime;
using NodaTime.Text;
using Polyhost;

namespace LibrariesSample;

/// <summary>Two libraries from NuGet, as they are.</summary>
public static class Libraries
{
    [Export("markdown/ToHtml", Doc = "Renders CommonMark.")]
    public static byte[] ToHtml(byte[] text) => Encoding.UTF8.GetBytes(Markdown.ToHtml(Encoding.UTF8.GetString(text)));

    [Export("clock/ToInstants", Doc = "The instants at which a clock in a place shows a time, such as `2026-10-25T02:30:00 Europe/Berlin`.")]
    public static byte[] ToInstants(byte[] text)
    {
        string[] parts = Encoding.UTF8.GetString(text).Split(' ');
        LocalDateTime shown = LocalDateTimePattern.GeneralIso.Parse(parts[0]).GetValueOrThrow();
        var mapping = DateTimeZoneProviders.Tzdb[parts[1]].MapLocal(shown);
        IEnumerable<ZonedDateTime> times = mapping.Count == 0 ? [] : new[] { mapping.First(), mapping.Last() }.Take(mapping.Count);
        return Encoding.UTF8.GetBytes(string.Join(" ", times.Select(time => time.ToInstant())));
    }
}

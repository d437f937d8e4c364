using Google.Protobuf.WellKnownTypes;
using Markdig;
using NodaTime;
using NodaTime.Text;
using NodaTime.TimeZones;
using Polyhost;

namespace LibrariesSample;

/// <summary>Two libraries from NuGet, as they are.</summary>
public static class Libraries
{
    [Export("library.v1.Markdown/ToHtml", Doc = "Renders CommonMark.")]
    public static StringValue ToHtml(StringValue markdown) => new() { Value = Markdown.ToHtml(markdown.Value) };

    [Export("library.v1.Clock/ToInstant", Doc = "What moment it is when a clock shows `2026-10-25T02:30:00 Europe/Berlin`.")]
    public static StringValue ToInstant(StringValue shown)
    {
        string[] parts = shown.Value.Split(' ');
        LocalDateTime local = LocalDateTimePattern.GeneralIso.Parse(parts[0]).GetValueOrThrow();
        DateTimeZone zone = DateTimeZoneProviders.Tzdb[parts[1]];
        ZoneLocalMapping mapping = zone.MapLocal(local);
        return new StringValue
        {
            Value = mapping.Count switch
            {
                0 => "never",
                1 => $"{mapping.Single().ToInstant()}",
                _ => $"{mapping.First().ToInstant()} and {mapping.Last().ToInstant()}",
            },
        };
    }
}

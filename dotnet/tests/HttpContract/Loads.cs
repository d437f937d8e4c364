using System.Runtime;
using System.Runtime.InteropServices;

namespace HttpContract;

/// <summary>What the bench asks for, besides what the tests do.</summary>
internal static class Loads
{
    internal static void Map(WebApplication app)
    {
        // Holds its thread, as a driver without asynchronous calls does.
        app.Map("/blocking", (HttpContext context) =>
        {
            Thread.Sleep(context.Request.Number("milliseconds", 50));
            return context.Say("blocked");
        });
        // Without this, what a process takes says more of when it last collected than of what it keeps.
        app.Map("/collect", () =>
        {
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            GC.WaitForPendingFinalizers();
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            return "collected";
        });
        // What its numbers depend on, a line `NAME: VALUE` each.
        app.MapGet("/facts", () =>
        {
            string kind = GCSettings.IsServerGC ? "server" : "workstation";
            string concurrent = GCSettings.LatencyMode is GCLatencyMode.Batch ? "not concurrent" : "concurrent";
            return $"runtime: {RuntimeInformation.FrameworkDescription}\ngarbage collector: {kind}, {concurrent}\n";
        });
    }
}

using System.Runtime.InteropServices;
using System.Runtime.Loader;
using System.Text;

namespace Polyhost.AspNetCore;

/// <summary>
/// The functions that the host calls, which are the only ones that cross. Each catches everything: an exception that
/// leaves one ends the process.
/// </summary>
public static unsafe class Entry
{
    /// <summary>Takes the host's table and fills the guest's. Once per process.</summary>
    /// <returns>0, or 1 where the two are of different releases.</returns>
    [UnmanagedCallersOnly]
    internal static int Start(HttpHost* host, HttpGuest* guest)
    {
        try
        {
            if (host->Version != HttpHost.CurrentVersion || host->Size != sizeof(HttpHost) || guest->Size != sizeof(HttpGuest))
            {
                return 1;
            }
            Native.Host = host;
            guest->Version = HttpHost.CurrentVersion;
            guest->Start = &StartApplication;
            guest->Stop = &StopApplication;
            guest->Stats = &ReadStats;
            Callbacks.Fill(guest);
            // This assembly came as bytes, so nobody finds it by its name: the legacy host builder looks for it so.
            AssemblyLoadContext.Default.Resolving += static (_, name) =>
                name.Name == typeof(Entry).Assembly.GetName().Name ? typeof(Entry).Assembly : null;
            Takeover.Install();
            return 0;
        }
        catch (Exception e)
        {
            Native.Log(LogLevels.Error, "polyhost", $"ASP.NET Core can't be served: {e}");
            return 2;
        }
    }

    [UnmanagedCallersOnly]
    private static int StartApplication(AppStart* start)
    {
        try
        {
            Application.Start(start);
            return 0;
        }
        catch (Exception e)
        {
            Native.AppEvent(start->App, AppEvent.Failed, Encoding.UTF8.GetBytes(Report.Of(e)));
            return 1;
        }
    }

    [UnmanagedCallersOnly]
    private static int StopApplication(uint app)
    {
        try
        {
            return Application.Find(app)?.Stop() == true ? 0 : 1;
        }
        catch (Exception e)
        {
            Native.Log(LogLevels.Error, "polyhost", $"the application did not take the order to stop: {e}");
            return 2;
        }
    }

    [UnmanagedCallersOnly]
    private static int ReadStats(Stats* stats)
    {
        try
        {
            stats->ThreadPoolThreads = (uint)ThreadPool.ThreadCount;
            stats->ThreadPoolQueue = (ulong)ThreadPool.PendingWorkItemCount;
            stats->Gen0Collections = (ulong)GC.CollectionCount(0);
            stats->Gen1Collections = (ulong)GC.CollectionCount(1);
            stats->Gen2Collections = (ulong)GC.CollectionCount(2);
            stats->PauseNanoseconds = (ulong)GC.GetTotalPauseDuration().TotalNanoseconds;
            stats->HeapBytes = (ulong)GC.GetTotalMemory(forceFullCollection: false);
            return 0;
        }
        catch (Exception)
        {
            return 1;
        }
    }
}

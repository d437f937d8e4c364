namespace Takeover;

/// <summary>What goes wrong, or ends, in an application's life; <c>TAKEOVER_DEED</c> chooses.</summary>
internal static class Misdeeds
{
    /// <summary>Before there is a host.</summary>
    internal static void Before()
    {
        switch (Settings.Get("DEED"))
        {
            case "throw":
                throw new InvalidOperationException("no database", new TimeoutException("db.example did not answer"));
            case "never":
                Thread.Sleep(Timeout.Infinite);
                break;
            case "exit":
                Environment.Exit(9);
                break;
        }
    }

    /// <summary>Once the host is built.</summary>
    internal static void At(IHostApplicationLifetime lifetime)
    {
        switch (Settings.Get("DEED"))
        {
            case "throw-in-started":
                throw new InvalidOperationException("the pipeline is broken");
            case "stop":
                lifetime.ApplicationStarted.Register(lifetime.StopApplication);
                break;
        }
        lifetime.ApplicationStopping.Register(() => Console.WriteLine("stopping"));
        lifetime.ApplicationStopped.Register(() => Console.WriteLine("stopped"));
    }

    /// <summary>When the host has ended.</summary>
    internal static int After()
    {
        switch (Settings.Get("DEED"))
        {
            case "throw-at-end":
                throw new InvalidOperationException("the last words");
            case "code":
                return 3;
            case "return":
                return 7;
        }
        Console.WriteLine("Main is over");
        return 0;
    }
}

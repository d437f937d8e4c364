using System.Diagnostics;
using System.Reflection;

namespace Polyhost;

/// <summary>What becomes of a failure that no call can report.</summary>
internal enum Reaction
{
    /// <summary>Nothing: nobody hears of it.</summary>
    Ignore,

    /// <summary>A line in the log.</summary>
    Report,

    /// <summary>The line, and the module takes no more calls.</summary>
    StopGuest,

    /// <summary>The process ends.</summary>
    Abort,
}

/// <summary>
/// What becomes of an exception that no call can report, one on a thread of the guest's own or in a task that nobody
/// awaits, and of a guest that ends the process.
/// </summary>
/// <remarks>The host says so by runtime properties. It has checked that this version of .NET can do what it says.</remarks>
internal static class FailurePolicy
{
    private static Reaction s_unhandled;
    private static Reaction s_unobserved;
    private static Reaction s_exit;

    internal static void Install()
    {
        s_unhandled = Read("Unhandled");
        s_unobserved = Read("Unobserved");
        s_exit = Read("Exit");
        TaskScheduler.UnobservedTaskException += (_, failure) =>
        {
            React(s_unobserved, "a task that nobody awaits failed", failure.Exception.InnerException ?? failure.Exception);
            failure.SetObserved();
        };
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Exit();
        if (s_unhandled != Reaction.Abort)
        {
            HandleUnhandled();
        }
    }

    private static Reaction Read(string name) => AppContext.GetData($"Polyhost.Failures.{name}") switch
    {
        string text when Enum.TryParse<Reaction>(text, out var reaction) => reaction,
        null => Reaction.Report,
        var other => throw new BoundaryException(ErrorKind.Config, $"the property Polyhost.Failures.{name} is {other}"),
    };

    private static void HandleUnhandled()
    {
        // New in .NET 10; before that an exception that leaves a thread ends the process, whatever one does.
        var type = Type.GetType("System.Runtime.ExceptionServices.ExceptionHandling");
        var set = type?.GetMethod("SetUnhandledExceptionHandler", BindingFlags.Public | BindingFlags.Static);
        try
        {
            set?.CreateDelegate<Action<Func<Exception, bool>>>()(static exception =>
            {
                React(s_unhandled, "a thread ended with an exception", exception);
                return true;
            });
        }
        catch (InvalidOperationException)
        {
            Log.Write(null, LogLevel.Warn, "another part of the process has set what becomes of exceptions that leave a thread", "polyhost");
        }
    }

    private static void React(Reaction reaction, string what, Exception exception)
    {
        if (reaction == Reaction.Abort)
        {
            Environment.FailFast(what, exception);
        }
        if (reaction == Reaction.Ignore)
        {
            return;
        }
        try
        {
            var guest = ConsoleLog.ModuleOf(new StackTrace(exception, fNeedFileInfo: false));
            if (reaction == Reaction.StopGuest && guest is not null)
            {
                Module.Stop(guest, $"the module was stopped: {what}, {exception.GetType()}: {exception.Message}; load it again");
                what += ", and its module was stopped";
            }
            Log.Write(guest, LogLevel.Error, $"{what}: {exception}", "polyhost");
        }
        catch (Exception)
        {
            // An exception whose own text fails. To throw here would end the process.
        }
    }

    /// <summary>Somebody has called <see cref="Environment.Exit"/>. The process ends when this returns, and nothing in .NET
    /// can refuse that: not to return here would hold up every finalizer.</summary>
    /// <remarks>This is the finalizers' thread, so that who has called it does not show: each module's log says so.
    /// </remarks>
    private static void Exit()
    {
        if (s_exit == Reaction.Ignore)
        {
            return;
        }
        var guests = Module.Opened();
        var open = guests.Length == 0 ? "none" : string.Join(", ", guests.Select(guest => guest!.Name));
        var what = $"Environment.Exit({Environment.ExitCode}) was called, which ends the process; open modules: {open}";
        try
        {
            foreach (var guest in guests.DefaultIfEmpty())
            {
                Log.Write(guest, LogLevel.Error, what, "polyhost");
            }
        }
        catch (Exception)
        {
            // It ends all the same.
        }
        if (s_exit == Reaction.Abort)
        {
            Environment.FailFast(what);
        }
    }
}

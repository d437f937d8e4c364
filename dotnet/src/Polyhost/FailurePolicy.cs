using System.Diagnostics;
using System.Reflection;

namespace Polyhost;

/// <summary>
/// What becomes of an exception that no call can report: one on a thread of the guest's own, or in a task that nobody
/// awaits. It goes to the log, and the process lives on where .NET lets it.
/// </summary>
internal static class FailurePolicy
{
    internal static void Install()
    {
        TaskScheduler.UnobservedTaskException += (_, failure) =>
        {
            Write("a task that nobody awaits failed", failure.Exception.InnerException ?? failure.Exception);
            failure.SetObserved();
        };
        // New in .NET 10; before that an exception that leaves a thread ends the process, whatever one does.
        var type = Type.GetType("System.Runtime.ExceptionServices.ExceptionHandling");
        var set = type?.GetMethod("SetUnhandledExceptionHandler", BindingFlags.Public | BindingFlags.Static);
        try
        {
            set?.CreateDelegate<Action<Func<Exception, bool>>>()(static exception =>
            {
                Write("a thread ended with an exception", exception);
                return true;
            });
        }
        catch (InvalidOperationException)
        {
            // It can be set once in a process, and somebody was first.
        }
    }

    private static void Write(string what, Exception exception)
    {
        try
        {
            var module = ConsoleLog.ModuleOf(new StackTrace(exception, fNeedFileInfo: false));
            Log.Write(module, LogLevel.Error, $"{what}: {exception}", "polyhost");
        }
        catch (Exception)
        {
            // An exception whose own text fails. To throw here would end the process.
        }
    }
}

using System.Text;

namespace Polyhost;

/// <summary>How important a line of the log is.</summary>
public enum LogLevel
{
    /// <summary>For following a program step by step.</summary>
    Trace = 1,

    /// <summary>For finding faults.</summary>
    Debug = 2,

    /// <summary>What happened.</summary>
    Info = 3,

    /// <summary>What should not have happened.</summary>
    Warn = 4,

    /// <summary>What failed.</summary>
    Error = 5,
}

/// <summary>Writes to the host's log, from any thread, in a call or not. Outside of a host it writes to stderr.</summary>
public static unsafe class Log
{
    /// <summary>Finds the module whose code is calling, where no call tells; set by the shim.</summary>
    internal static Func<GuestModule?> Caller { get; set; } = static () => null;

    /// <summary>Writes a line at level Trace; <paramref name="target"/> names the logger.</summary>
    public static void Trace(string message, string target = "") => Write(LogLevel.Trace, message, target);

    /// <summary>Writes a line at level Debug; <paramref name="target"/> names the logger.</summary>
    public static void Debug(string message, string target = "") => Write(LogLevel.Debug, message, target);

    /// <summary>Writes a line at level Info; <paramref name="target"/> names the logger.</summary>
    public static void Info(string message, string target = "") => Write(LogLevel.Info, message, target);

    /// <summary>Writes a line at level Warn; <paramref name="target"/> names the logger.</summary>
    public static void Warn(string message, string target = "") => Write(LogLevel.Warn, message, target);

    /// <summary>Writes a line at level Error; <paramref name="target"/> names the logger.</summary>
    public static void Error(string message, string target = "") => Write(LogLevel.Error, message, target);

    /// <summary>Writes a line; <paramref name="target"/> names the logger.</summary>
    public static void Write(LogLevel level, string message, string target = "")
    {
        ArgumentNullException.ThrowIfNull(message);
        ArgumentNullException.ThrowIfNull(target);
        Write(CallScope.Module ?? Caller(), level, message, target);
    }

    /// <summary>Writes a line of a module's; what belongs to none goes to stderr, so that it is not lost.</summary>
    internal static void Write(GuestModule? module, LogLevel level, string message, string target)
    {
        if (module is null || Host.Table is null)
        {
            // Not Console.Error: its lines come back here.
            using var stderr = Console.OpenStandardError();
            stderr.Write(Encoding.UTF8.GetBytes($"{level} {target}: {message}\n"));
            return;
        }
        var (text, name) = (Encoding.UTF8.GetBytes(message), Encoding.UTF8.GetBytes(target));
        // The host knows what its thread calls; the tasks of an async export run on others.
        var context = CallScope.Flowing is { } flowing && flowing.Module == module ? flowing : null;
        var call = context is null ? null : context.TryEnter();
        fixed (byte* line = text, logger = name)
        {
            var slice = new PolyhostSlice(line, text.Length);
            Host.Table->Log(module.Id, call, (int)level, new PolyhostSlice(logger, name.Length), slice);
        }
        if (call is not null)
        {
            context!.Leave();
        }
    }
}

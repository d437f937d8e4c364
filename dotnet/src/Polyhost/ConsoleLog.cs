using System.Diagnostics;
using System.Reflection;
using System.Runtime.Loader;
using System.Text;

namespace Polyhost;

/// <summary>What guests write to the console becomes lines of their log; what they read from it is empty.</summary>
internal sealed class ConsoleLog : TextWriter
{
    /// <summary>A longer line is cut into several.</summary>
    private const int MaxLine = 16 * 1024;

    private static readonly ConsoleLog s_out = new(LogLevel.Info, "stdout");
    private static readonly ConsoleLog s_error = new(LogLevel.Warn, "stderr");

    private readonly LogLevel _level;
    private readonly string _target;

    /// <summary>Lines without an end so far, by module: each writes its own.</summary>
    private readonly Dictionary<ulong, StringBuilder> _lines = [];

    private ConsoleLog(LogLevel level, string target)
    {
        _level = level;
        _target = target;
        CoreNewLine = ['\n'];
    }

    public override Encoding Encoding => Encoding.UTF8;

    /// <summary>Takes the console's streams.</summary>
    internal static void Attach()
    {
        Console.SetOut(s_out);
        Console.SetError(s_error);
        Console.SetIn(TextReader.Null);
    }

    /// <summary>Writes out what a module has left without an end of line.</summary>
    internal static void Close(GuestModule module)
    {
        s_out.Flush(module);
        s_error.Flush(module);
    }

    /// <summary>The module whose code is on this thread's stack, nearest first; where it is in no call.</summary>
    internal static GuestModule? Caller() => ModuleOf(new StackTrace(fNeedFileInfo: false));

    /// <summary>The module whose code is in a stack, nearest first.</summary>
    internal static GuestModule? ModuleOf(StackTrace stack)
    {
        foreach (var frame in stack.GetFrames())
        {
            if (frame.GetMethod()?.Module.Assembly is { } assembly
                && AssemblyLoadContext.GetLoadContext(assembly) is GuestLoadContext context)
            {
                return context.Guest;
            }
        }
        return null;
    }

    public override void Write(char value) => Write(new ReadOnlySpan<char>(in value));

    public override void Write(string? value) => Write(value.AsSpan());

    public override void Write(char[] buffer, int index, int count) => Write(buffer.AsSpan(index, count));

    public override void WriteLine() => Write("\n".AsSpan());

    public override void WriteLine(string? value) => Write(string.Concat(value, "\n").AsSpan());

    public override void Write(ReadOnlySpan<char> text)
    {
        var module = CallScope.Module ?? Caller();
        lock (_lines)
        {
            if (!_lines.TryGetValue(module?.Id ?? 0, out var line))
            {
                _lines[module?.Id ?? 0] = line = new StringBuilder();
            }
            for (int end; (end = text.IndexOf('\n')) >= 0; text = text[(end + 1)..])
            {
                line.Append(text[..end].TrimEnd('\r'));
                WriteOut(module, line);
            }
            line.Append(text);
            if (line.Length > MaxLine)
            {
                WriteOut(module, line);
            }
        }
    }

    public override void Flush() => Flush(CallScope.Module ?? Caller());

    private void Flush(GuestModule? module)
    {
        lock (_lines)
        {
            if (_lines.Remove(module?.Id ?? 0, out var line) && line.Length > 0)
            {
                WriteOut(module, line);
            }
        }
    }

    private void WriteOut(GuestModule? module, StringBuilder line)
    {
        Log.Write(module, _level, line.ToString(), _target);
        line.Clear();
    }
}

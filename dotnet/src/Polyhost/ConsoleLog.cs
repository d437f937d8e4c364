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

    /// <summary>The runtime property that says what becomes of the console.</summary>
    private const string Property = "Polyhost.Console";

    private static readonly ConsoleLog s_out = new(LogLevel.Info, "stdout");
    private static readonly ConsoleLog s_error = new(LogLevel.Warn, "stderr");

    private readonly LogLevel _level;
    private readonly string _target;

    /// <summary>Lines without an end so far, by module: each writes its own.</summary>
    private readonly Dictionary<ulong, (GuestModule? Module, StringBuilder Line)> _lines = [];

    private ConsoleLog(LogLevel level, string target)
    {
        _level = level;
        _target = target;
        CoreNewLine = ['\n'];
    }

    public override Encoding Encoding => Encoding.UTF8;

    /// <summary>Takes the console's streams, unless the host has said that they stay its own.</summary>
    /// <remarks>Console wraps each in a writer of its own that holds a monitor until a write returns, so also while the
    /// host's sink runs (dotnet/runtime TextWriter.cs, <c>SyncTextWriter</c>). It can't be had without; the README of
    /// the CLR host has the rule for sinks that follows.</remarks>
    internal static void Attach()
    {
        switch (AppContext.GetData(Property))
        {
            case null or "log":
                break;
            case "inherit":
                return;
            case var other:
                throw new BoundaryException(ErrorKind.Config, $"the property {Property} is {other}; it has to be log or inherit");
        }
        Console.SetOut(s_out);
        Console.SetError(s_error);
        Console.SetIn(TextReader.Null);
    }

    /// <summary>Writes out what a module has left without an end of line.</summary>
    internal static void Detach(GuestModule module)
    {
        s_out.Flush(module.Id);
        s_error.Flush(module.Id);
    }

    /// <summary>Writes out what anybody has left without an end of line.</summary>
    internal static void Detach()
    {
        s_out.FlushAll();
        s_error.FlushAll();
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
        if (Take(module, text) is { } lines)
        {
            WriteOut(module, lines);
        }
    }

    public override void Flush() => Flush((CallScope.Module ?? Caller())?.Id ?? 0);

    /// <summary>Adds text to a module's line, and gives the lines that this ends.</summary>
    private List<string>? Take(GuestModule? module, ReadOnlySpan<char> text)
    {
        // Not held while the host writes: its sink may well come back here.
        lock (_lines)
        {
            if (!_lines.TryGetValue(module?.Id ?? 0, out var open))
            {
                _lines[module?.Id ?? 0] = open = (module, new StringBuilder());
            }
            List<string>? ended = null;
            for (int end; (end = text.IndexOf('\n')) >= 0; text = text[(end + 1)..])
            {
                Append(open.Line, text[..end].TrimEnd('\r'), ref ended);
                End(open.Line, ref ended);
            }
            Append(open.Line, text, ref ended);
            return ended;
        }
    }

    /// <summary>Adds text without an end of line, and cuts where the line is full.</summary>
    private static void Append(StringBuilder line, ReadOnlySpan<char> text, ref List<string>? ended)
    {
        while (line.Length + text.Length > MaxLine)
        {
            var room = MaxLine - line.Length;
            if (char.IsLowSurrogate(text[room]))
            {
                // The second half of a character goes with the first.
                room++;
            }
            line.Append(text[..room]);
            text = text[room..];
            End(line, ref ended);
        }
        line.Append(text);
    }

    private static void End(StringBuilder line, ref List<string>? ended)
    {
        (ended ??= []).Add(line.ToString());
        line.Clear();
    }

    private void Flush(ulong module)
    {
        bool found;
        (GuestModule? Module, StringBuilder Line) open;
        lock (_lines)
        {
            found = _lines.Remove(module, out open);
        }
        if (found && open.Line.Length > 0)
        {
            WriteOut(open.Module, [open.Line.ToString()]);
        }
    }

    private void FlushAll()
    {
        ulong[] modules;
        lock (_lines)
        {
            modules = [.. _lines.Keys];
        }
        foreach (var module in modules)
        {
            Flush(module);
        }
    }

    private void WriteOut(GuestModule? module, List<string> lines)
    {
        foreach (var line in lines)
        {
            Log.Write(module, _level, line, _target);
        }
    }
}

using System.Diagnostics;
using System.Reflection;

namespace Polyhost;

/// <summary>Turns an exception into a <c>polyhost.v1.Error</c> for the host.</summary>
internal static unsafe class Error
{
    /// <summary>A chain of inner exceptions is cut here.</summary>
    private const int MaxCauses = 32;

    /// <summary>Endless recursion that somebody caught has more frames than anybody reads.</summary>
    private const int MaxFrames = 256;

    /// <summary>Tells the host why the call is about to fail, and gives the status to return. Never throws.</summary>
    internal static int Report(PolyhostCall* call, Exception exception)
    {
        try
        {
            var (status, report) = Describe(call, exception);
            fixed (byte* data = report.Written)
            {
                Host.Table->ErrorReport(call, new PolyhostSlice(data, report.Written.Length));
            }
            return (int)status;
        }
        catch (Exception)
        {
            // An exception whose own Message or StackTrace throws, or no memory is left to describe it in.
            return Line(call, exception.GetType());
        }
    }

    private static (StatusCode Status, MessageWriter Report) Describe(PolyhostCall* call, Exception exception)
    {
        var report = new MessageWriter();
        if (exception is CompileException compile)
        {
            report.Number(1, (uint)ErrorKind.Load).Text(2, compile.Message).Message(5, Guest(compile));
            return (StatusOf(ErrorKind.Load), report);
        }
        if (exception is BoundaryException boundary)
        {
            report.Number(1, (uint)boundary.Kind).Text(2, boundary.Message).Message(5, (boundary as LoadException)?.Guest);
            return (StatusOf(boundary.Kind), report);
        }
        var message = exception.Message;
        var type = TypeName(exception);
        report.Number(1, (uint)ErrorKind.Guest).Text(2, message.Length == 0 ? type : $"{type}: {message}");
        report.Message(5, Guest(exception, MaxCauses));
        if (FindService(exception) is { } service)
        {
            report.Bytes(6, service.Report.Span);
        }
        return (StatusOf(call, exception), report);
    }

    /// <summary>The GuestError of an exception and of those that led to it.</summary>
    internal static MessageWriter Guest(Exception exception, int depth)
    {
        var guest = new MessageWriter().Text(1, TypeName(exception)).Text(2, exception.Message);
        var frames = new StackTrace(exception, fNeedFileInfo: true).GetFrames();
        foreach (var frame in frames.Where(IsGuests).Take(MaxFrames))
        {
            guest.Message(3, Frame(FunctionName(frame.GetMethod()), frame.GetFileName(), frame.GetFileLineNumber()));
        }
        if (exception.InnerException is { } cause && depth > 0)
        {
            guest.Message(4, Guest(cause, depth - 1));
        }
        return guest.Number(5, (uint)(Own(exception) ?? 0));
    }

    /// <summary>What does not compile, an error a frame.</summary>
    private static MessageWriter Guest(CompileException exception)
    {
        var guest = new MessageWriter().Text(1, "CompileError").Text(2, exception.Message);
        foreach (var error in exception.Errors)
        {
            var text = error.Id.Length == 0 ? error.Message : $"{error.Id}: {error.Message}";
            guest.Message(3, Frame(text, error.File, error.Line).Text(4, error.Text));
        }
        return guest;
    }

    private static MessageWriter Frame(string? function, string? file, int line) =>
        new MessageWriter().Text(1, function).Text(2, file).Number(3, (uint)Math.Max(0, line));

    /// <summary>Frames of ours and those that .NET itself hides are none of the guest's business.</summary>
    private static bool IsGuests(StackFrame frame)
    {
        var method = frame.GetMethod();
        var assembly = method?.Module.Assembly;
        return method is not null
            && assembly != typeof(Error).Assembly
            && assembly != typeof(Host).Assembly
            && !method.IsDefined(typeof(StackTraceHiddenAttribute), inherit: false)
            && method.DeclaringType?.IsDefined(typeof(StackTraceHiddenAttribute), inherit: false) is not true;
    }

    /// <summary><c>Namespace.Type.Method</c>. An async method and an iterator run in a <c>MoveNext</c> of a type
    /// <c>&lt;Method&gt;d__1</c> that the compiler made.</summary>
    private static string FunctionName(MethodBase? method)
    {
        var type = method?.DeclaringType;
        if (method is null || type is null)
        {
            return method?.Name ?? "";
        }
        if (method.Name == "MoveNext" && type.DeclaringType is { } outer && type.Name.IndexOf('>') is > 1 and var end)
        {
            return $"{TypeName(outer)}.{type.Name[1..end]}";
        }
        return $"{TypeName(type)}.{method.Name}";
    }

    private static string TypeName(Exception exception) => TypeName(exception.GetType());

    /// <summary>The full name without the assembly names that <c>FullName</c> writes for type arguments.</summary>
    private static string TypeName(Type type)
    {
        var name = type.IsGenericType ? type.GetGenericTypeDefinition().FullName : type.FullName;
        return name ?? type.Name;
    }

    private static ServiceException? FindService(Exception exception)
    {
        var next = exception;
        for (var depth = 0; next is not null && depth < MaxCauses; depth++, next = next.InnerException)
        {
            if (next is ServiceException service)
            {
                return service;
            }
        }
        return null;
    }

    private static StatusCode StatusOf(PolyhostCall* call, Exception exception) => exception switch
    {
        _ when Own(exception) is { } status => status,
        // The host knows whether it was its own cancellation, and which.
        OperationCanceledException when Host.Table->Cancelled(call) is var reason and not 0 => (StatusCode)reason,
        _ => StatusCode.Unknown,
    };

    /// <summary>The status that an exception stands for by itself.</summary>
    private static StatusCode? Own(Exception exception) => exception switch
    {
        StatusException status => status.Code,
        OutOfMemoryException => StatusCode.ResourceExhausted,
        _ => null,
    };

    private static StatusCode StatusOf(ErrorKind kind) => kind switch
    {
        ErrorKind.Config or ErrorKind.Load => StatusCode.FailedPrecondition,
        ErrorKind.Decode => StatusCode.InvalidArgument,
        ErrorKind.Exhausted => StatusCode.ResourceExhausted,
        _ => StatusCode.Internal,
    };

    private static int Line(PolyhostCall* call, Type type)
    {
        try
        {
            var text = System.Text.Encoding.UTF8.GetBytes($"{type.FullName}, which could not be described");
            fixed (byte* data = text)
            {
                Host.Table->Error(call, new PolyhostSlice(data, text.Length));
            }
        }
        catch (Exception)
        {
            // No memory even for this. The status alone says that it failed.
        }
        return (int)StatusCode.Unknown;
    }
}

/// <summary>A module can't be loaded.</summary>
internal sealed class LoadException(string message, MessageWriter? guest = null, Exception? cause = null)
    : BoundaryException(ErrorKind.Load, message, cause)
{
    /// <summary>What the guest's own code raised, or does not compile for.</summary>
    internal MessageWriter? Guest { get; } = guest;
}

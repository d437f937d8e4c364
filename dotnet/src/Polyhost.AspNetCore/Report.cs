using System.Text;

namespace Polyhost.AspNetCore;

/// <summary>An exception in words: a line, then all of it.</summary>
internal static class Report
{
    /// <summary>The type and message of the exception and of those that caused it, a zero, and the whole text.</summary>
    internal static string Of(Exception exception)
    {
        try
        {
            return Text(exception);
        }
        catch (Exception e)
        {
            // Message and ToString may be the application's own.
            return $"{exception.GetType().Name}, which can't be put in words: {e.GetType().Name}\0";
        }
    }

    private static string Text(Exception exception)
    {
        var line = new StringBuilder();
        for (var e = exception; e is not null; e = e.InnerException)
        {
            line.Append(line.Length == 0 ? "" : ": ").Append(e.GetType().Name).Append(": ").Append(e.Message);
        }
        return $"{line}\0{exception}";
    }
}

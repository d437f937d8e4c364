using Microsoft.Extensions.Logging;

namespace Polyhost.AspNetCore;

/// <summary>What the server writes to the application's log, in Kestrel's words.</summary>
internal sealed class ServerLog(ILoggerFactory factory)
{
    private static readonly Action<ILogger, string, string, Exception?> s_applicationError =
        LoggerMessage.Define<string, string>(LogLevel.Error, new EventId(13, "ApplicationError"),
            "Connection id \"{ConnectionId}\", Request id \"{TraceIdentifier}\": An unhandled exception was thrown by the application.");

    private static readonly Action<ILogger, string, string, Exception?> s_badRequest =
        LoggerMessage.Define<string, string>(LogLevel.Debug, new EventId(17, "ConnectionBadRequest"),
            "Connection id \"{ConnectionId}\" bad request data: \"{message}\"");

    private static readonly Action<ILogger, string, string, Exception?> s_aborted =
        LoggerMessage.Define<string, string>(LogLevel.Debug, new EventId(36, "RequestAborted"),
            "Connection id \"{ConnectionId}\", Request id \"{TraceIdentifier}\": The client disconnected before the response was complete.");

    private static readonly Action<ILogger, string, string, Exception?> s_abortedByApplication =
        LoggerMessage.Define<string, string>(LogLevel.Information, new EventId(34, "ApplicationAbortedConnection"),
            "Connection id \"{ConnectionId}\", Request id \"{TraceIdentifier}\": The application aborted the connection.");

    private readonly ILogger _logger = factory.CreateLogger("Polyhost.AspNetCore.Server");

    internal void ApplicationError(RequestContext context, Exception error) =>
        Write(LogLevel.Error, s_applicationError, context, error);

    internal void BadRequest(RequestContext context, Exception error) =>
        Write(LogLevel.Debug, s_badRequest, context, error, error);

    internal void RequestAborted(RequestContext context) => Write(LogLevel.Debug, s_aborted, context, null);

    internal void ApplicationAborted(RequestContext context) =>
        Write(LogLevel.Information, s_abortedByApplication, context, null);

    /// <summary>A provider of the application's that fails must not keep a request from being released, nor end the
    /// process.</summary>
    private void Write(
        LogLevel level, Action<ILogger, string, string, Exception?> write, RequestContext context, Exception? error,
        Exception? message = null)
    {
        try
        {
            if (_logger.IsEnabled(level))
            {
                write(_logger, context.ConnectionId, message?.Message ?? context.TraceIdentifier, error);
            }
        }
        catch (Exception e)
        {
            Native.Log(LogLevels.Error, "Polyhost.AspNetCore", $"the application's log failed: {e}");
        }
    }
}

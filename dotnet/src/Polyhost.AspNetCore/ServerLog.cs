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
        s_applicationError(_logger, context.ConnectionId, context.TraceIdentifier, error);

    internal void BadRequest(RequestContext context, Exception error)
    {
        if (_logger.IsEnabled(LogLevel.Debug))
        {
            s_badRequest(_logger, context.ConnectionId, error.Message, error);
        }
    }

    internal void RequestAborted(RequestContext context)
    {
        if (_logger.IsEnabled(LogLevel.Debug))
        {
            s_aborted(_logger, context.ConnectionId, context.TraceIdentifier, null);
        }
    }

    internal void ApplicationAborted(RequestContext context)
    {
        if (_logger.IsEnabled(LogLevel.Information))
        {
            s_abortedByApplication(_logger, context.ConnectionId, context.TraceIdentifier, null);
        }
    }
}

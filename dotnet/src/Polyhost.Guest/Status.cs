namespace Polyhost;

/// <summary>The canonical gRPC status codes.</summary>
public enum StatusCode
{
    /// <summary>No error; never the code of a failure.</summary>
    Ok = 0,

    /// <summary>The caller gave up.</summary>
    Cancelled = 1,

    /// <summary>Nothing more is known.</summary>
    Unknown = 2,

    /// <summary>The request is wrong, whatever the state of the system.</summary>
    InvalidArgument = 3,

    /// <summary>Time ran out.</summary>
    DeadlineExceeded = 4,

    /// <summary>What was asked for does not exist.</summary>
    NotFound = 5,

    /// <summary>What was to be made exists.</summary>
    AlreadyExists = 6,

    /// <summary>The caller may not do that.</summary>
    PermissionDenied = 7,

    /// <summary>A quota or a limit is used up.</summary>
    ResourceExhausted = 8,

    /// <summary>The system is not in the state that this needs.</summary>
    FailedPrecondition = 9,

    /// <summary>A conflict with another operation; try again from the start.</summary>
    Aborted = 10,

    /// <summary>Beyond the valid range.</summary>
    OutOfRange = 11,

    /// <summary>Not supported here.</summary>
    Unimplemented = 12,

    /// <summary>A broken invariant.</summary>
    Internal = 13,

    /// <summary>Not now; try again.</summary>
    Unavailable = 14,

    /// <summary>Data is lost or damaged beyond repair.</summary>
    DataLoss = 15,

    /// <summary>The caller did not say who it is.</summary>
    Unauthenticated = 16,
}

/// <summary>Ends a call with a status code, which its caller sees, in whatever language it is written.</summary>
/// <param name="code">The code.</param>
/// <param name="message">What went wrong, for people.</param>
/// <param name="innerException">What led to it.</param>
public class StatusException(StatusCode code, string message, Exception? innerException = null)
    : Exception(message, innerException)
{
    /// <summary>The code; never <see cref="StatusCode.Ok"/>.</summary>
    public StatusCode Code { get; } = code == StatusCode.Ok
        ? throw new ArgumentException("a failure has a code other than Ok", nameof(code))
        : code;
}

/// <summary>A host service failed. Where it leaves the export, the caller sees the service's error as its cause.</summary>
public sealed class ServiceException : StatusException
{
    internal ServiceException(string service, StatusCode code, string message, byte[] report)
        : base(code == StatusCode.Ok ? StatusCode.Internal : code, message)
    {
        Service = service;
        Report = report;
    }

    /// <summary>The name of the service.</summary>
    public string Service { get; }

    /// <summary>The whole error as the host knows it, a serialized <c>polyhost.v1.Error</c>.</summary>
    public ReadOnlyMemory<byte> Report { get; }
}

namespace Polyhost;

/// <summary>The kinds of <c>polyhost.v1.Error</c> that are found out on this side.</summary>
internal enum ErrorKind
{
    Config = 1,
    Load = 2,
    Decode = 4,
    Encode = 5,
    Guest = 6,
    Exhausted = 10,
    Closed = 12,
    Internal = 13,
}

/// <summary>A failure at the boundary, which is not the guest's own exception.</summary>
internal class BoundaryException(ErrorKind kind, string message, Exception? cause = null) : Exception(message, cause)
{
    internal ErrorKind Kind { get; } = kind;
}

namespace Polyhost.AspNetCore;

/// <summary>Texts that applications and their tests know from Kestrel.</summary>
internal static class Messages
{
    internal const string HeadersAreReadOnly = "Headers are read-only, response has already started.";
    internal const string KeyAlreadyExists = "An item with the same key has already been added.";
    internal const string MaxBodyAfterRead = "The maximum request body size cannot be modified after the app has already started reading from the request body.";
    internal const string MaxBodyAfterUpgrade = "The maximum request body size cannot be modified after the request has been upgraded.";
    internal const string NonNegativeNumberOrNull = "Value must be null or a non-negative number.";
    internal const string TrailersNotAvailable = "The request trailers are not available yet. They may not be available until the full request body is read.";
    internal const string RequestEnded = "The request is over; what belongs to it cannot be used any more.";
    internal const string SynchronousReads = "Synchronous operations are disallowed. Call ReadAsync or set AllowSynchronousIO to true instead.";
    internal const string SynchronousWrites = "Synchronous operations are disallowed. Call WriteAsync or set AllowSynchronousIO to true instead.";
    internal const string BlockingRead = "this request runs on the thread that receives its body, which must not wait for it; read asynchronously";
    internal const string BlockingWrite = "this request blocks the thread that would send it, and waits there for the client to take more; await the write, or do not have the endpoint run inline";
    internal const string InvalidHeaders = "Malformed request: invalid headers.";
    internal const string ApplicationFailed = "The response has been aborted due to an unhandled application exception.";
    internal const string AdvanceOrder = "Invalid ordering of calling StartAsync or CompleteAsync and Advance.";
    internal const string WritingAfterCompletion = "Writing is not allowed after writer was completed.";
    internal const string ReadingAfterCompletion = "Reading is not allowed after reader was completed.";
    internal const string ReadingInProgress = "Reading is already in progress.";
    internal const string NoReading = "No reading operation to complete.";
    internal const string ResponseCompleted = "Cannot write to the response body, the response has completed.";
    internal const string Upgraded = "Cannot write to response body after connection has been upgraded.";
    internal const string NotUpgradable = "Cannot upgrade a non-upgradable request. Check IHttpUpgradeFeature.IsUpgradableRequest to determine if a request can be upgraded.";
    internal const string NotExtendedConnect = "Cannot accept a request that is not an extended CONNECT. Check IHttpExtendedConnectFeature.IsExtendedConnect.";
    internal const string UpgradedTwice = "IHttpUpgradeFeature.UpgradeAsync was already called and can only be called once per connection.";
    internal const string ContentLengthOn205 = "Non-zero Content-Length headers are not allowed on 205 responses.";
    internal const string ClientGone = "The client has disconnected";
    internal const string BodyTimedOut = "Reading the request body timed out due to data arriving too slowly. See MinRequestBodyDataRate.";
    internal const string TrailersTooLarge = "Request trailers too many or too long.";
    internal const string BodyMalformed = "Malformed request: the request body is not in its declared encoding.";
    internal const string CompletedWithException = "The BodyPipe was completed with an exception.";

    internal static string ReadOnly(string name) => $"{name} cannot be set because the response has already started.";

    internal static string HeaderNotAllowed(string name, int status) =>
        $"Setting the header {name} is not allowed on responses with status code {status}.";

    internal static string NoStatus(int status) =>
        $"{status} is not the status code of a response. 1xx codes come before one; 101 is sent by IHttpUpgradeFeature.UpgradeAsync.";

    internal static string BodyNotAllowed(int status) =>
        $"Writing to the response body is invalid for responses with status code {status}.";

    internal static string TooMany(long written, long expected) =>
        $"Response Content-Length mismatch: too many bytes written ({written} of {expected}).";

    internal static string TooFew(long written, long expected) =>
        $"Response Content-Length mismatch: too few bytes written ({written} of {expected}).";

    internal static string BodyTooLarge(long? limit) =>
        $"Request body too large. The max request body size is {limit} bytes.";

    internal static string InvalidCharacter(char character) =>
        $"Invalid non-ASCII or control character in header: 0x{(ushort)character:X4}";

    internal static string InvalidReason(char character) =>
        $"Invalid control character in reason phrase: 0x{(ushort)character:X4}";

    internal static string InvalidContentLength(string? value) =>
        $"Invalid Content-Length: \"{value}\". Value must be a positive integral number.";
}

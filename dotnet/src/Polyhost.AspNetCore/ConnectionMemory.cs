namespace Polyhost.AspNetCore;

/// <summary>Pinned memory, which connections use one after the other: it is collected late, so it is not made for
/// each.</summary>
/// <remarks>A context itself is of one connection alone, so that what an application has kept of it, be it a stream or a
/// token, reaches no other client.</remarks>
/// <param name="Lines">For the lines of a request's head.</param>
/// <param name="Body">For the start of a response's body.</param>
/// <param name="Headers">For the headers of a response, as they cross.</param>
internal sealed record ConnectionMemory(Header[] Lines, byte[]? Body, byte[] Headers)
{
    internal static ConnectionMemory New() =>
        new(GC.AllocateUninitializedArray<Header>(16, pinned: true), null, []);
}

namespace Polyhost;

/// <summary>
/// Makes a method callable from the host, under a name.
/// </summary>
/// <remarks>
/// <para>The method may be public or not, and static, or an instance method of a class with a parameterless
/// constructor: one instance is made when the module is loaded, and disposed of when it is closed. Calls may come on
/// any thread, and several at the same time.</para>
/// <para>It has one of these forms, where <c>Request</c> and <c>Reply</c> are messages of Google.Protobuf. Each may
/// take a <see cref="CallContext"/> as its last parameter.</para>
/// <code>
/// Reply M(Request request)
/// Task&lt;Reply&gt; M(Request request)                          // the call waits for it; so with ValueTask&lt;Reply&gt;
/// byte[] M(byte[] input)
/// Task&lt;byte[]&gt; M(byte[] input)
/// void M(ReadOnlySpan&lt;byte&gt; input, Output output)          // host memory on both sides: no copy, no allocation
/// </code>
/// </remarks>
/// <param name="name">The name to call it by: <c>package.Service/Method</c>, or any other.</param>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
public sealed class ExportAttribute(string name) : Attribute
{
    /// <summary>The name to call it by.</summary>
    public string Name { get; } = name;

    /// <summary>What it does, for people. By default the summary of the method's XML documentation, where the
    /// compiler wrote one beside the assembly.</summary>
    public string? Doc { get; set; }
}

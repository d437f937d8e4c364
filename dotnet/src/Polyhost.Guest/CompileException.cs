namespace Polyhost;

/// <summary>C# source that does not compile.</summary>
internal sealed class CompileException(string message, IReadOnlyList<CompileError> errors) : Exception(message)
{
    /// <summary>What is wrong with it, in the order of the compiler; at least one.</summary>
    internal IReadOnlyList<CompileError> Errors { get; } = errors;
}

/// <summary>One error of the compiler's.</summary>
/// <param name="Id">Such as <c>CS1002</c>; empty for one of ours.</param>
/// <param name="Message">What is wrong.</param>
/// <param name="File">The file; empty where it is about none.</param>
/// <param name="Line">Counted from 1; 0 where it is about no line.</param>
/// <param name="Column">Counted from 1.</param>
/// <param name="Text">The source line.</param>
internal sealed record CompileError(string Id, string Message, string File, int Line, int Column, string Text)
{
    public override string ToString() => (File.Length == 0 ? "" : Line == 0 ? $"{File}: " : $"{File}({Line},{Column}): ")
        + (Id.Length == 0 ? Message : $"{Id}: {Message}");
}

/// <summary>A module that was compiled from source.</summary>
/// <param name="Assembly">The assembly.</param>
/// <param name="Symbols">Its portable PDB.</param>
/// <param name="Documentation">Its XML documentation.</param>
/// <param name="References">The files that it was compiled against, besides the framework's.</param>
/// <param name="Warnings">What the compiler warns of, as text.</param>
internal sealed record CompiledModule(
    byte[] Assembly, byte[] Symbols, string Documentation, string[] References, string[] Warnings);

namespace Polyhost;

/// <summary>What a call runs. <paramref name="output"/> carries the call, too.</summary>
internal delegate void Handler(ReadOnlySpan<byte> input, Output output);

/// <summary>An export, with all that a call of it needs.</summary>
internal sealed class Function(string name, Handler handler)
{
    /// <summary>The delegate that runs the export; another once its module is stopped.</summary>
    internal Handler Handler = handler;

    /// <summary>What the host calls it by; set when it enters the table.</summary>
    internal ulong Id;

    internal string Name { get; } = name;

    /// <summary>Full name of the message it takes; empty for raw bytes.</summary>
    internal string InputType { get; init; } = "";

    /// <summary>Full name of the message it returns; empty for raw bytes.</summary>
    internal string OutputType { get; init; } = "";

    /// <summary>What it does, for people; may be empty.</summary>
    internal string Doc { get; set; } = "";
}

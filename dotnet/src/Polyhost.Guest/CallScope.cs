namespace Polyhost;

#pragma warning disable CS8500 // A pointer to a struct with references: it lies on the stack, which does not move.

/// <summary>The call that a thread is in. Lies on that thread's stack until the call returns.</summary>
internal unsafe ref struct CallScope
{
    [ThreadStatic]
    private static void* t_innermost;

    private static readonly AsyncLocal<CallContext?> s_flowing = new();

    /// <summary>What <see cref="Current"/> is in the tasks that are started from here; set within async exports
    /// alone.</summary>
    internal static CallContext? Flowing
    {
        get => s_flowing.Value;
        set => s_flowing.Value = value;
    }

    private PolyhostCall* _call;
    private GuestModule _module;
    private CallContext? _context;
    private void* _outer;

    /// <summary>The context of the call that this thread is in, or of the async export that its task is of.</summary>
    internal static CallContext? Current => t_innermost is null ? s_flowing.Value : ((CallScope*)t_innermost)->Context;

    /// <summary>The module whose call this thread is in, or whose async export's task it runs.</summary>
    internal static GuestModule? Module =>
        t_innermost is null ? s_flowing.Value?.Module : ((CallScope*)t_innermost)->_module;

    /// <summary>The context, made when it is first asked for: most calls need none.</summary>
    internal CallContext Context => _context ??= new CallContext(_call, _module);

    /// <summary>From here on, until <see cref="Leave"/>, this thread is in the call that <paramref name="output"/> is
    /// of.</summary>
    internal static void Enter(ref CallScope scope, Output output, GuestModule module)
    {
        scope._call = output.Call;
        scope._module = module;
        scope._outer = t_innermost;
        fixed (CallScope* self = &scope)
        {
            t_innermost = self;
        }
    }

    internal readonly void Leave()
    {
        t_innermost = _outer;
        _context?.End();
    }

    /// <summary>While this thread is in a service, it is in no call of this guest's, and nor are the tasks that another
    /// guest starts there; to be undone by <see cref="Resume"/>.</summary>
    internal static Suspended Suspend()
    {
        var suspended = new Suspended(t_innermost, s_flowing.Value);
        t_innermost = null;
        if (suspended.Flowing is not null)
        {
            s_flowing.Value = null;
        }
        return suspended;
    }

    internal static void Resume(Suspended suspended)
    {
        t_innermost = suspended.Innermost;
        if (suspended.Flowing is not null)
        {
            s_flowing.Value = suspended.Flowing;
        }
    }

    /// <summary>The call that a thread is to come back to.</summary>
    internal readonly ref struct Suspended(void* innermost, CallContext? flowing)
    {
        internal void* Innermost { get; } = innermost;

        internal CallContext? Flowing { get; } = flowing;
    }
}

namespace Polyhost;

#pragma warning disable CS8500 // A pointer to a struct with references: it lies on the stack, which does not move.

/// <summary>The call that a thread is in. Lies on that thread's stack until the call returns.</summary>
internal unsafe struct CallScope
{
    [ThreadStatic]
    private static CallScope* t_innermost;

    private static readonly AsyncLocal<CallContext?> s_flowing = new();

    private PolyhostCall* _call;
    private GuestModule _module;
    private CallContext? _context;
    private CallScope* _outer;

    /// <summary>The context of the call that this thread is in, or that its task was started by.</summary>
    internal static CallContext? Current => t_innermost is null ? s_flowing.Value : t_innermost->Context;

    /// <summary>The module whose call this thread is in, or 0.</summary>
    internal static ulong Module => t_innermost is null ? 0 : t_innermost->_module.Id;

    /// <summary>The context, made when it is first asked for: most calls need none.</summary>
    internal CallContext Context => _context ??= new CallContext(_call, _module);

    internal static void Enter(ref CallScope scope, PolyhostCall* call, GuestModule module)
    {
        scope._call = call;
        scope._module = module;
        scope._outer = t_innermost;
        fixed (CallScope* self = &scope)
        {
            t_innermost = self;
        }
    }

    internal void Leave()
    {
        t_innermost = _outer;
        _context?.End();
    }
}

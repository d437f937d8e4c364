namespace Polyhost.AspNetCore;

/// <summary>The contexts of all applications, by the number the host knows one by: one more than its index.</summary>
internal static class ContextTable
{
    private static readonly object s_lock = new();
    private static readonly Stack<uint> s_free = new();

    /// <summary>Replaced when it grows; read without the lock.</summary>
    private static RequestContext?[] s_contexts = new RequestContext?[64];
    private static uint s_used;

    internal static RequestContext? Find(uint id)
    {
        var contexts = Volatile.Read(ref s_contexts);
        var index = id - 1;
        return index < (uint)contexts.Length ? Volatile.Read(ref contexts[index]) : null;
    }

    internal static void ForEach(Action<RequestContext> action)
    {
        foreach (var context in Volatile.Read(ref s_contexts))
        {
            if (context is not null)
            {
                action(context);
            }
        }
    }

    internal static uint Add(RequestContext context)
    {
        lock (s_lock)
        {
            if (!s_free.TryPop(out var id))
            {
                id = ++s_used;
                if (id > s_contexts.Length)
                {
                    var larger = new RequestContext?[s_contexts.Length * 2];
                    s_contexts.CopyTo(larger, 0);
                    Volatile.Write(ref s_contexts, larger);
                }
            }
            Volatile.Write(ref s_contexts[id - 1], context);
            return id;
        }
    }

    internal static void Remove(uint id)
    {
        lock (s_lock)
        {
            s_contexts[id - 1] = null;
            s_free.Push(id);
        }
    }
}

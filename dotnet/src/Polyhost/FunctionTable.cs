using System.Runtime.CompilerServices;

namespace Polyhost;

/// <summary>
/// Every function that can be called, by id: the low half of an id is a place in the table, the high half says for the
/// how-many-eth time that place is taken. So an id is never used again, and one that is no longer good finds nothing.
/// </summary>
internal static class FunctionTable
{
    private static readonly object s_lock = new();

    // The last first.
    private static readonly List<int> s_free = [];
    private static uint[] s_generations = [];

    // Replaced and not changed when it grows: a call reads it without a lock.
    private static Function?[] s_functions = [];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Function? Find(ulong id)
    {
        var functions = s_functions;
        var place = (uint)id;
        if (place >= (uint)functions.Length)
        {
            return null;
        }
        // One read: whoever takes the place next is another object with another id.
        var function = functions[place];
        return function is not null && function.Id == id ? function : null;
    }

    internal static void Add(Function function)
    {
        lock (s_lock)
        {
            if (s_free.Count == 0)
            {
                var count = s_generations.Length;
                var size = Math.Max(16, count * 2);
                Array.Resize(ref s_generations, size);
                var functions = s_functions;
                Array.Resize(ref functions, size);
                Volatile.Write(ref s_functions, functions);
                for (var free = size - 1; free >= count; free--)
                {
                    s_free.Add(free);
                }
            }
            var place = s_free[^1];
            s_free.RemoveAt(s_free.Count - 1);
            function.Id = (ulong)++s_generations[place] << 32 | (uint)place;
            Volatile.Write(ref s_functions[place], function);
        }
    }

    internal static void Remove(Function function)
    {
        lock (s_lock)
        {
            var place = (int)(uint)function.Id;
            s_functions[place] = null;
            // A place whose generations are used up stays empty for ever.
            if (s_generations[place] != uint.MaxValue)
            {
                s_free.Add(place);
            }
        }
    }
}

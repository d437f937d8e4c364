using System.Reflection;

namespace Polyhost;

/// <summary>Finds the exports of an assembly and binds each to a delegate, once.</summary>
internal static class Exports
{
    private const BindingFlags Methods = BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public
        | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    internal static Function[] Find(Module module, Assembly assembly)
    {
        var functions = new SortedDictionary<string, Function>(StringComparer.Ordinal);
        foreach (var method in assembly.GetTypes().SelectMany(type => type.GetMethods(Methods)))
        {
            foreach (var export in method.GetCustomAttributes<ExportAttribute>(inherit: false))
            {
                var handler = method.CreateDelegate<Handler>();
                if (!functions.TryAdd(export.Name, new Function(module, export.Name, handler)))
                {
                    throw new LoadException($"two exports are named {export.Name}");
                }
            }
        }
        return [.. functions.Values];
    }
}

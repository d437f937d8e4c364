using System.Reflection;

namespace Polyhost;

/// <summary>Says why a module can't be loaded.</summary>
internal static class Loading
{
    /// <summary>Refuses an assembly that was built for more than there is here.</summary>
    internal static void CheckVersions(string module, Assembly assembly)
    {
        foreach (var reference in assembly.GetReferencedAssemblies())
        {
            var ours = typeof(ExportAttribute).Assembly.GetName();
            if (reference.Name == ours.Name && reference.Version > ours.Version)
            {
                throw new LoadException($"{module} was built against {ours.Name} {reference.Version}, this host brings "
                    + $"{ours.Version}; update the host, or build against its version");
            }
            if (reference.Name == "System.Runtime" && reference.Version?.Major > Environment.Version.Major)
            {
                throw new LoadException($"{module} was built for .NET {reference.Version.Major}, this process runs .NET "
                    + $"{Environment.Version}; build it for net{Environment.Version.Major}.0, or install a newer runtime");
            }
        }
    }

    /// <summary>The error for what went wrong while a module was loaded.</summary>
    internal static LoadException Failure(string module, string looked, Exception exception)
    {
        var cause = (exception as ReflectionTypeLoadException)?.LoaderExceptions.FirstOrDefault(e => e is not null) ?? exception;
        return cause switch
        {
            FileNotFoundException { FileName: { } file } when file == module =>
                new LoadException($"there is no file {file}", cause: cause),
            DirectoryNotFoundException => new LoadException($"there is no file {module}", cause: cause),
            FileNotFoundException { FileName: { } name } when IsMissingAssembly(cause) =>
                new LoadException($"{module} needs {new AssemblyName(name).Name} {new AssemblyName(name).Version}, which is "
                    + $"neither in the framework nor in {looked}; build the module with "
                    + "<EnableDynamicLoading>true</EnableDynamicLoading>, or name a folder by the option references", cause: cause),
            BadImageFormatException => new LoadException($"{module} is not a .NET assembly: {cause.Message}", cause: cause),
            IOException or UnauthorizedAccessException => new LoadException($"can't read {module}: {cause.Message}", cause: cause),
            _ => new LoadException($"{module} did not load: {cause.GetType().FullName}: {cause.Message}",
                Error.Guest(cause, depth: 8), cause),
        };
    }

    /// <summary>Whether an assembly was looked for, by its full name, and not found.</summary>
    internal static bool IsMissingAssembly(Exception exception) =>
        exception is FileNotFoundException { FileName: { } name } && name.Contains(", Version=", StringComparison.Ordinal);
}

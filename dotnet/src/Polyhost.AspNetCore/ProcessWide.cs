using System.Reflection;

namespace Polyhost.AspNetCore;

/// <summary>What an application believes is its own and is the process's: set while it starts.</summary>
internal static class ProcessWide
{
    /// <summary>Loads the hosting startup of this assembly, which the legacy WebHostBuilder alone needs.</summary>
    private const string HostingStartup = "ASPNETCORE_HOSTINGSTARTUPASSEMBLIES";

    private const BindingFlags Static = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static;

    private static string? s_hostingStartup;
    private static bool s_isSet;

    internal static void Set(Assembly entry, AppSettings settings)
    {
        // Public from .NET 9 on. Nothing but `dotnet` calls Main as that does, so nobody else has set it.
        typeof(Assembly).GetMethod("SetEntryAssembly", Static)?.Invoke(null, [entry]);
        // Environment.GetCommandLineArgs() would else be that of the host's program, or empty.
        typeof(Environment).GetField("s_commandLineArgs", Static)?.SetValue(null, (string[])[settings.Assembly, .. settings.Arguments]);
        if (!settings.DefaultContext)
        {
            AppContext.SetData("APP_CONTEXT_BASE_DIRECTORY", Path.GetDirectoryName(settings.Assembly) + Path.DirectorySeparatorChar);
        }
        foreach (var (name, value) in settings.Environment)
        {
            Environment.SetEnvironmentVariable(name, value);
        }
        s_hostingStartup = Environment.GetEnvironmentVariable(HostingStartup);
        s_isSet = true;
        var own = typeof(ProcessWide).Assembly.GetName().Name;
        Environment.SetEnvironmentVariable(HostingStartup, string.IsNullOrEmpty(s_hostingStartup) ? own : $"{s_hostingStartup};{own}");
    }

    /// <summary>Once the host is built, or never will be: a <c>dotnet</c> that the application starts would look for this
    /// assembly in vain.</summary>
    internal static void Clear()
    {
        if (s_isSet)
        {
            s_isSet = false;
            Environment.SetEnvironmentVariable(HostingStartup, s_hostingStartup);
        }
    }
}

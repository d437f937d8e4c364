using System.Collections.Concurrent;
using System.Reflection;
using System.Runtime.Loader;
using System.Text;
using Microsoft.Extensions.Hosting;

namespace Polyhost.AspNetCore;

/// <summary>An application: its <c>Main</c> runs on a thread of its own, as under <c>dotnet App.dll</c>.</summary>
internal sealed class Application
{
    /// <summary>As large as the main thread's under <c>dotnet</c>.</summary>
    private const int StackSize = 8 << 20;

    private static readonly ConcurrentDictionary<uint, Application> s_all = new();

    /// <summary>Which application a host is built by. Flows with the code that its <c>Main</c> starts.</summary>
    private static readonly AsyncLocal<Application?> s_current = new();

    /// <summary>Base directory, entry assembly and the like are the process's, so applications start one by one; held
    /// from before <c>Main</c> until the server has started or <c>Main</c> is over.</summary>
    private static readonly SemaphoreSlim s_starting = new(1);

    private readonly AppSettings _settings;
    private readonly object _lock = new();
    private IHostApplicationLifetime? _lifetime;
    private bool _stopping;
    private int _holdsStart;

    private Application(AppSettings settings) => _settings = settings;

    internal uint Id => _settings.App;

    /// <summary>Whether a web host of this application has asked for a server.</summary>
    internal bool HasServer { get; set; }

    /// <summary>Whether one is built, or being built.</summary>
    internal bool HasWebHost { get; set; }

    internal static Application? Current => s_current.Value;

    internal static Application? Find(uint id) => s_all.GetValueOrDefault(id);

    /// <summary>Starts <c>Main</c> and returns; what becomes of it comes as events.</summary>
    internal static unsafe void Start(AppStart* start)
    {
        var application = new Application(AppSettings.Parse(start));
        s_all[application.Id] = application;
        var name = Path.GetFileNameWithoutExtension(application._settings.Assembly);
        new Thread(application.Run, StackSize) { IsBackground = true, Name = $"Main of {name}" }.Start();
    }

    /// <summary>The server's host is built: from here on the application can be told to stop.</summary>
    internal void Attach(IHostApplicationLifetime lifetime)
    {
        lock (_lock)
        {
            _lifetime = lifetime;
        }
        lifetime.ApplicationStarted.UnsafeRegister(static (state, _) => ((Application)state!).Started(), this);
        lifetime.ApplicationStopping.UnsafeRegister(static (state, _) => ((Application)state!).Event(AppEvent.Stopping, ""), this);
        if (_stopping)
        {
            lifetime.StopApplication();
        }
    }

    /// <summary>Asks the application to stop. False where it has no host that could.</summary>
    internal bool Stop()
    {
        IHostApplicationLifetime? lifetime;
        lock (_lock)
        {
            _stopping = true;
            lifetime = _lifetime;
        }
        if (lifetime is null)
        {
            return false;
        }
        // Its callbacks are the application's, and may take their time. On a thread of its own, as that of a signal is: the
        // pool's may all be blocked by what this is to end.
        new Thread(() => StopBy(lifetime)) { IsBackground = true, Name = $"Stop of application {Id}" }.UnsafeStart();
        return true;
    }

    private static void StopBy(IHostApplicationLifetime lifetime)
    {
        try
        {
            lifetime.StopApplication();
        }
        catch (Exception e)
        {
            Native.Log(LogLevels.Error, "Polyhost.AspNetCore", $"a callback of ApplicationStopping failed: {e}");
        }
    }

    private void Run()
    {
        s_starting.Wait();
        _holdsStart = 1;
        try
        {
            s_current.Value = this;
            var code = RunMain();
            Event(AppEvent.Stopped, $"{code}\0{(HasServer ? "web" : "none")}");
        }
        catch (Exception e)
        {
            Event(AppEvent.Failed, Report.Of(e));
        }
        finally
        {
            LetOthersStart();
            s_all.TryRemove(Id, out _);
        }
    }

    private int RunMain()
    {
        AssemblyLoadContext context = _settings.DefaultContext
            ? AssemblyLoadContext.Default
            : new ApplicationLoadContext(_settings.Assembly);
        using var reflection = context.EnterContextualReflection();
        var assembly = context.LoadFromAssemblyPath(_settings.Assembly);
        var main = assembly.EntryPoint
            ?? throw new InvalidOperationException($"{_settings.Assembly} has no Main: it is a library, not an application");
        ProcessWide.Set(assembly, _settings);
        object?[] arguments = main.GetParameters().Length == 0 ? [] : [_settings.Arguments];
        return main.Invoke(null, BindingFlags.DoNotWrapExceptions, null, arguments, null) as int? ?? Environment.ExitCode;
    }

    private void Started()
    {
        LetOthersStart();
        Event(AppEvent.Started, "");
    }

    /// <summary>A host without a server has started, and none is built that has one: there is nothing to wait for.</summary>
    internal void StartedWithoutServer()
    {
        if (!HasWebHost)
        {
            Started();
        }
    }

    private void LetOthersStart()
    {
        if (Interlocked.Exchange(ref _holdsStart, 0) == 1)
        {
            ProcessWide.Clear();
            s_starting.Release();
        }
    }

    private void Event(AppEvent kind, string text) => Native.AppEvent(Id, kind, Encoding.UTF8.GetBytes(text));
}

/// <summary>Finds what lies beside an application that is not the process's first; the framework is shared.</summary>
internal sealed class ApplicationLoadContext(string assembly)
    : AssemblyLoadContext(Path.GetFileNameWithoutExtension(assembly), isCollectible: true)
{
    private readonly AssemblyDependencyResolver _resolver = new(assembly);

    protected override Assembly? Load(AssemblyName name) =>
        _resolver.ResolveAssemblyToPath(name) is { } path ? LoadFromAssemblyPath(path) : null;

    protected override nint LoadUnmanagedDll(string name) =>
        _resolver.ResolveUnmanagedDllToPath(name) is { } path ? LoadUnmanagedDllFromPath(path) : 0;
}

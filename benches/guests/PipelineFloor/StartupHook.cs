using System.Diagnostics;
using Microsoft.AspNetCore.Hosting.Server;
using PipelineFloor;

/// <summary>
/// Named in DOTNET_STARTUP_HOOKS, it has an application that nobody changed called from a loop instead of a server. The
/// name and its place in no namespace are what .NET looks for.
/// </summary>
internal sealed class StartupHook : IObserver<DiagnosticListener>, IObserver<KeyValuePair<string, object?>>
{
    public static void Initialize() => DiagnosticListener.AllListeners.Subscribe(new StartupHook());

    private static int Main()
    {
        Console.Error.WriteLine("PipelineFloor: name this file in DOTNET_STARTUP_HOOKS and start an application");
        return 2;
    }

    void IObserver<DiagnosticListener>.OnNext(DiagnosticListener listener)
    {
        if (listener.Name == "Microsoft.Extensions.Hosting")
        {
            listener.Subscribe(this, static (name, _, _) => name == "HostBuilding");
        }
    }

    void IObserver<KeyValuePair<string, object?>>.OnNext(KeyValuePair<string, object?> occurrence)
    {
        if (occurrence is { Key: "HostBuilding", Value: IHostBuilder builder })
        {
            // It comes after the application's own, so it is what the host takes.
            builder.ConfigureServices((_, services) => services.AddSingleton<IServer, LoopServer>());
        }
    }

    void IObserver<DiagnosticListener>.OnCompleted()
    {
    }

    void IObserver<DiagnosticListener>.OnError(Exception error)
    {
    }

    void IObserver<KeyValuePair<string, object?>>.OnCompleted()
    {
    }

    void IObserver<KeyValuePair<string, object?>>.OnError(Exception error)
    {
    }
}

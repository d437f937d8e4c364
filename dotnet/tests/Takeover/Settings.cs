using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Takeover;

/// <summary>What the tests ask for, by variables: the arguments are the host's.</summary>
internal static class Settings
{
    /// <summary>What a variable said before any other code of this assembly ran.</summary>
    internal static string? BeforeMain { get; private set; }

    internal static string Way => Get("WAY") ?? "create";

    internal static string? Get(string name) => Environment.GetEnvironmentVariable($"TAKEOVER_{name}");

    [ModuleInitializer]
    internal static void Look() => BeforeMain = Get("SETTING");

    internal static void Configure(KestrelServerOptions options)
    {
        switch (Get("KESTREL"))
        {
            case "limits":
                options.AddServerHeader = false;
                options.Limits.MaxRequestBodySize = 10;
                options.ListenLocalhost(int.Parse(Get("PORT")!));
                break;
            case "unix":
                options.ListenUnixSocket(Get("SOCKET")!);
                break;
            case "https":
                options.Limits.MaxRequestBodySize = 10;
                options.ListenLocalhost(0x4321, listen => listen.UseHttps());
                break;
            case "mixed":
                options.Listen(System.Net.IPAddress.Loopback, 0);
                options.ListenLocalhost(0x4321, listen => listen.UseHttps());
                break;
        }
    }
}

using System.Net;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Extensions;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Primitives;
using Xunit;

namespace Polyhost.AspNetCore.Tests;

public sealed class RequestTests
{
    [Fact]
    public async Task TheHeadIsWhatTheClientSent()
    {
        await Check(
            connection => connection.Get("/a%20b?c=d%20e", ("Host", "example.com"), ("X-Own", "1"), ("x-own", "2")),
            context =>
            {
                var request = context.Request;
                Assert.Equal("GET", request.Method);
                Assert.Equal("/a b", request.Path.Value);
                Assert.Equal("?c=d%20e", request.QueryString.Value);
                Assert.Equal("d e", request.Query["c"]);
                Assert.Equal("/a%20b?c=d%20e", context.Features.Get<IHttpRequestFeature>()!.RawTarget);
                Assert.Equal("HTTP/1.1", request.Protocol);
                Assert.Equal("http", request.Scheme);
                Assert.Equal("http://example.com/a%20b?c=d%20e", request.GetDisplayUrl().Replace("a b", "a%20b"));
                Assert.Equal("example.com", request.Headers["host"]);
                Assert.Equal(new StringValues(["1", "2"]), request.Headers["X-OWN"]);
                Assert.Equal(StringValues.Empty, request.Headers.Accept);
                Assert.False(request.Headers.ContainsKey("Accept"));
                Assert.Null(request.ContentLength);
            });
    }

    [Fact]
    public async Task AChangeToTheHeadersIsTheApplicationsAlone()
    {
        var seen = new List<string>();
        await using var app = await App.Run(context =>
        {
            seen.Add(string.Join(",", context.Request.Headers.Select(pair => $"{pair.Key}={pair.Value}")));
            context.Request.Headers.Host = "changed";
            context.Request.Headers["X-New"] = "1";
            Assert.Equal("changed", context.Request.Headers.Host);
            Assert.Equal(3, context.Request.Headers.Count);
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        connection.Get("/", ("Host", "one"), ("Accept", "*/*"));
        connection.Get("/", ("Host", "two"), ("Accept", "*/*"));
        Assert.Equal(["Host=one,Accept=*/*", "Host=two,Accept=*/*"], seen);
    }

    [Fact]
    public async Task EqualTextIsTheSameStringInTheNextRequest()
    {
        var seen = new List<(string Path, string Agent)>();
        await using var app = await App.Run(context =>
        {
            seen.Add((context.Request.Path.Value!, context.Request.Headers.UserAgent.ToString()));
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        connection.Get("/same", ("User-Agent", "agent"));
        connection.Get("/same", ("User-Agent", "agent"));
        connection.Get("/other", ("User-Agent", "agenz"));
        Assert.Same(seen[0].Path, seen[1].Path);
        Assert.Same(seen[0].Agent, seen[1].Agent);
        Assert.Equal(("/other", "agenz"), seen[2]);
    }

    [Fact]
    public async Task TheConnectionIsTold()
    {
        await using var app = await App.Run(context =>
        {
            var connection = context.Connection;
            Assert.Equal(IPAddress.Parse("10.0.0.7"), connection.RemoteIpAddress);
            Assert.Equal(IPAddress.Loopback, connection.LocalIpAddress);
            Assert.Equal((50_000, 80), (connection.RemotePort, connection.LocalPort));
            Assert.Equal(13, connection.Id.Length);
            context.Response.Headers["X-Trace"] = context.TraceIdentifier;
            connection.RemoteIpAddress = IPAddress.IPv6Loopback;
            Assert.Equal(IPAddress.IPv6Loopback, connection.RemoteIpAddress);
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        var first = Assert.Single(connection.Get("/").Headers).Value;
        var second = Assert.Single(connection.Get("/").Headers).Value;
        Assert.EndsWith(":00000001", first);
        Assert.Equal(first[..^8] + "00000002", second);
    }

    [Fact]
    public async Task FeaturesAreThereAsInKestrel()
    {
        await Check(
            connection => connection.Get("/"),
            context =>
            {
                Type[] there =
                [
                    typeof(IHttpRequestFeature), typeof(IHttpResponseFeature), typeof(IHttpResponseBodyFeature),
                    typeof(IRequestBodyPipeFeature), typeof(IHttpRequestLifetimeFeature), typeof(IHttpConnectionFeature),
                    typeof(IHttpRequestIdentifierFeature), typeof(IHttpRequestBodyDetectionFeature),
                    typeof(IHttpBodyControlFeature), typeof(IHttpMaxRequestBodySizeFeature),
                    typeof(IHttpRequestTrailersFeature), typeof(IEndpointFeature), typeof(IRouteValuesFeature),
                    typeof(IPersistentStateFeature), typeof(IConnectionIdFeature), typeof(IConnectionItemsFeature),
                    typeof(IConnectionLifetimeFeature), typeof(IConnectionLifetimeNotificationFeature),
                    typeof(IHttpUpgradeFeature), typeof(IHttpExtendedConnectFeature),
                    typeof(IBadRequestExceptionFeature),
                ];
                Assert.All(there, type => Assert.NotNull(context.Features[type]));
                Assert.False(context.Features.Get<IHttpUpgradeFeature>()!.IsUpgradableRequest);
                Assert.Null(context.Features.Get<IHttpResponseTrailersFeature>());
                Assert.False(context.Features.Get<IHttpRequestBodyDetectionFeature>()!.CanHaveBody);
                Assert.DoesNotContain(context.Features, pair => pair.Key == typeof(IConnectionIdFeature));
            });
    }

    [Fact]
    public async Task FeaturesThatAreSetOrTakenAwayAreBackInTheNextRequest()
    {
        var seen = new List<(bool, bool)>();
        await using var app = await App.Run(context =>
        {
            var features = context.Features;
            seen.Add((features.Get<IHttpBodyControlFeature>() is null, features.Get<RequestTests>() is null));
            var revision = features.Revision;
            features.Set<IHttpBodyControlFeature>(null);
            features.Set(this);
            Assert.Null(features.Get<IHttpBodyControlFeature>());
            Assert.Same(this, features.Get<RequestTests>());
            Assert.NotEqual(revision, features.Revision);
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        connection.Get("/");
        connection.Get("/");
        Assert.Equal([(false, true), (false, true)], seen);
    }

    [Fact]
    public async Task AContextIsOfOneConnection()
    {
        var contexts = new List<(object Features, object? Items)>();
        await using var app = await App.Run(context =>
        {
            var state = context.Features.Get<IPersistentStateFeature>()!.State;
            contexts.Add((context.Features, state.TryGetValue("k", out var kept) ? kept : null));
            state["k"] = "kept";
            return Task.CompletedTask;
        });
        using (var connection = app.Connect())
        {
            connection.Get("/");
            connection.Get("/");
        }
        using (var connection = app.Connect())
        {
            connection.Get("/");
        }
        Assert.Same(contexts[0].Features, contexts[1].Features);
        Assert.NotSame(contexts[0].Features, contexts[2].Features);
        Assert.Equal([null, "kept", null], contexts.Select(seen => seen.Items));
    }

    [Fact]
    public async Task AsyncLocalsDoNotReachTheNextRequest()
    {
        var local = new AsyncLocal<string?>();
        var seen = new List<string?>();
        await using var app = await App.Run(context =>
        {
            seen.Add(local.Value);
            local.Value = "set";
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        local.Value = "of the thread";
        connection.Get("/");
        connection.Get("/");
        Assert.Equal("of the thread", local.Value);
        await connection.Begin("GET", "/", RequestFlags.None, []).Released;
        await connection.Begin("GET", "/", RequestFlags.None, []).Released;
        Assert.Equal([null, null, null, null], seen);
    }

    [Fact]
    public async Task WhoKeepsTheRequestFindsThatItIsOver()
    {
        IHttpRequestFeature? kept = null;
        IHeaderDictionary? headers = null;
        Stream? body = null;
        await using var app = await App.Run(context =>
        {
            kept = context.Features.Get<IHttpRequestFeature>();
            headers = context.Request.Headers;
            body = context.Response.Body;
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        connection.Get("/secret", ("Cookie", "secret"));
        Assert.Throws<ObjectDisposedException>(() => kept!.Path);
        Assert.Throws<ObjectDisposedException>(() => headers!.Cookie);
        Assert.Throws<ObjectDisposedException>(() => headers!["X"]);
        await Assert.ThrowsAsync<ObjectDisposedException>(
            () => body!.WriteAsync("x"u8.ToArray(), CancellationToken.None).AsTask());
    }

    [Fact]
    public async Task ARequestIsToldFromAnEarlierOneOfTheSameNumberInAnotherSlot()
    {
        var seen = new List<string>();
        IHeaderDictionary? kept = null;
        await using var app = await App.Run(context =>
        {
            kept ??= context.Request.Headers;
            seen.Add(context.Request.Headers.Cookie.ToString());
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        foreach (var cookie in new[] { "of one", "of another" })
        {
            var exchange = new FakeExchange { Generation = uint.MaxValue };
            connection.Begin("GET", "/", RequestFlags.Inline, [("Cookie", cookie)], exchange);
        }
        Assert.Equal(["of one", "of another"], seen);
        Assert.Throws<ObjectDisposedException>(() => kept!.Cookie);
    }

    [Fact]
    public async Task WhatTheApplicationHasPutInPlaceGoesWithTheRequest()
    {
        IFeatureCollection? features = null;
        await using var app = await App.Run(context =>
        {
            features = context.Features;
            features.Set(this);
            features.Set<IItemsFeature>(new ItemsFeature());
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        connection.Get("/");
        Assert.Null(features!.Get<RequestTests>());
        Assert.Null(features.Get<IItemsFeature>());
    }

    [Fact]
    public async Task AnApplicationThatIsNotThereIs503()
    {
        var app = await App.Run(_ => Task.CompletedTask);
        using var connection = app.Connect();
        Assert.Equal(200, connection.Get("/").Status);
        await app.Application.StopAsync(TestContext.Current.CancellationToken);
        var answer = connection.Get("/");
        Assert.Equal(503, answer.Status);
        Assert.True(answer.Released.IsCompleted);
        await app.DisposeAsync();
        Assert.Contains("\"addServerHeader\":true", FakeHost.Announcements[app.Id]);
    }

    private static async Task Check(Func<FakeConnection, FakeExchange> request, Action<HttpContext> check)
    {
        Exception? failed = null;
        await using var app = await App.Run(context =>
        {
            failed = Record.Exception(() => check(context));
            return Task.CompletedTask;
        });
        using var connection = app.Connect();
        await request(connection).Released;
        if (failed is not null)
        {
            throw failed;
        }
    }
}

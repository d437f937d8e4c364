using System.Reflection;
using System.Reflection.Metadata;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Patterns;
using Microsoft.Extensions.DependencyInjection;

namespace Polyhost.AspNetCore;

/// <summary>
/// The endpoints that the application has marked as short, in a form by which the host can tell their requests: it chooses
/// the thread before managed code runs. Routes that go before a marked one, and that a request may fit as well, are told,
/// too, so that nothing runs there that was not marked.
/// </summary>
internal sealed class InlineRoutes
{
    /// <summary>The mark: an attribute, or any object in the endpoint's metadata, of a type of this name. Whose it is does
    /// not matter.</summary>
    private const string MarkNamespace = "Polyhost";
    private const string MarkName = "InlineAttribute";

    private readonly List<Route> _routes = [];

    /// <summary>What runs inline, in words.</summary>
    internal List<string> Inline { get; } = [];

    /// <summary>What is marked and does not, with the reason.</summary>
    internal List<string> NotInline { get; } = [];

    private sealed record Route(RouteEndpoint Endpoint, bool IsMarked, string[] Methods, List<string> Segments)
    {
        internal decimal Precedence => Endpoint.RoutePattern.InboundPrecedence;

        public override string ToString() => $"{string.Join(',', Methods)} {Endpoint.RoutePattern.RawText}".TrimStart();

        internal bool Overlaps(Route other) =>
            (Methods.Length == 0 || other.Methods.Length == 0 || Methods.Intersect(other.Methods, StringComparer.OrdinalIgnoreCase).Any())
            && InlineRoutes.Overlap(Segments, other.Segments);
    }

    /// <summary>Reads the endpoints as they are now, when the pipeline is built. An application without a mark is left
    /// alone: its endpoints are made when it wants them.</summary>
    internal static InlineRoutes Of(IServiceProvider provider)
    {
        var found = new InlineRoutes();
        try
        {
            if (IsMarkKnown() && provider.GetService<EndpointDataSource>() is { } source)
            {
                found.Read(source.Endpoints);
            }
        }
        catch (Exception e)
        {
            // It will meet the reason itself, with its first request.
            found.NotInline.Add($"any endpoint: they can't be read: {e.GetType().Name}: {e.Message}");
        }
        return found;
    }

    internal void WriteTo(Utf8JsonWriter json)
    {
        json.WriteStartArray("routes");
        foreach (var route in _routes)
        {
            json.WriteStartObject();
            json.WriteBoolean("inline", route.IsMarked);
            json.WriteStartArray("methods");
            Array.ForEach(route.Methods, json.WriteStringValue);
            json.WriteEndArray();
            json.WriteStartArray("segments");
            route.Segments.ForEach(json.WriteStringValue);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private void Read(IReadOnlyList<Endpoint> endpoints)
    {
        var all = endpoints.OfType<RouteEndpoint>()
            .Where(endpoint => endpoint.Metadata.GetMetadata<ISuppressMatchingMetadata>()?.SuppressMatching != true)
            .Select(endpoint => new Route(endpoint, IsMarked(endpoint), Methods(endpoint), Segments(endpoint.RoutePattern)))
            // As routing decides. Of two that are equal to it, the one that is not marked counts.
            .OrderBy(route => route.Endpoint.Order).ThenBy(route => route.Precedence).ThenBy(route => route.IsMarked)
            .ToList();
        var others = all.Where(route => !route.IsMarked).ToList();
        for (var i = 0; i < all.Count; i++)
        {
            if (all[i] is { IsMarked: true } route)
            {
                var reason = Inexpressible(route, others);
                (reason is null ? Inline : NotInline).Add(reason is null ? $"{route}" : $"{route}: {reason}");
                // It still takes its requests before those that come later.
                all[i] = route with { IsMarked = reason is null };
            }
        }
        var inline = all.Where(route => route.IsMarked).ToList();
        _routes.AddRange(all.Where(route => route.IsMarked || inline.Exists(route.Overlaps)));
    }

    private static string? Inexpressible(Route route, List<Route> others)
    {
        var pattern = route.Endpoint.RoutePattern;
        if (pattern.PathSegments.Any(segment => !segment.IsSimple))
        {
            return "a part between slashes of its pattern has a parameter and more";
        }
        if (route.Endpoint.Metadata.GetMetadata<IHostMetadata>()?.Hosts.Count > 0)
        {
            return "it is bound to a host";
        }
        // What the constraint refuses is the other's.
        return pattern.ParameterPolicies.Count > 0 && others.Find(route.Overlaps) is { } other
            ? $"a parameter of it has a constraint, and {other} takes what that refuses"
            : null;
    }

    private static bool IsMarked(Endpoint endpoint) => endpoint.Metadata.Any(
        static item => item.GetType() is { Name: MarkName, Namespace: MarkNamespace, IsNested: false });

    private static string[] Methods(Endpoint endpoint) =>
        [.. endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()?.HttpMethods ?? []];

    /// <summary>In the words of <c>Segment</c> in hosts/clr/src/aspnet/inline.rs.</summary>
    private static List<string> Segments(RoutePattern pattern) =>
        [.. pattern.PathSegments.Select(segment => segment is { IsSimple: true } ? Segment(pattern, segment.Parts[0]) : "{}")];

    private static string Segment(RoutePattern pattern, RoutePatternPart part)
    {
        if (part is not RoutePatternParameterPart parameter)
        {
            return $"={((RoutePatternLiteralPart)part).Content}";
        }
        // The action of a conventional route.
        if (pattern.RequiredValues.TryGetValue(parameter.Name, out var required) && required is string { Length: > 0 } text)
        {
            var isDefault = parameter.Default is string value && value.Equals(text, StringComparison.OrdinalIgnoreCase);
            return isDefault ? $"?{text}" : $"={text}";
        }
        return parameter switch
        {
            { IsCatchAll: true } => "{*}",
            { IsOptional: true } => "{?}",
            // As a default stands for it, it may be left out.
            { Default: not null } => "{?}",
            _ => "{}",
        };
    }

    /// <summary>Whether a path may fit both.</summary>
    private static bool Overlap(List<string> one, List<string> other)
    {
        for (var i = 0; ; i++)
        {
            if (i == one.Count || i == other.Count)
            {
                var rest = one.Count > other.Count ? one : other;
                return rest.Skip(i).All(static segment => segment is "{*}" or "{?}" || segment[0] == '?');
            }
            if (one[i] == "{*}" || other[i] == "{*}")
            {
                return true;
            }
            var areTexts = one[i][0] != '{' && other[i][0] != '{';
            if (areTexts && !one[i].AsSpan(1).Equals(other[i].AsSpan(1), StringComparison.OrdinalIgnoreCase))
            {
                // Both may end before it.
                return one[i][0] == '?' && other[i][0] == '?';
            }
        }
    }

    /// <summary>Whether an assembly of the process, the framework's left out, has a type of the mark's name or uses one.
    /// To ask the endpoints would make them all, and routing makes them again.</summary>
    /// <remarks>Loops, and no queries over structs: every application pays for what is compiled here.</remarks>
    private static bool IsMarkKnown()
    {
        var runtime = Path.GetDirectoryName(typeof(object).Assembly.Location);
        var aspnet = Path.GetDirectoryName(typeof(RouteEndpoint).Assembly.Location);
        foreach (var assembly in AppDomain.CurrentDomain.GetAssemblies())
        {
            if (assembly.IsDynamic || assembly == typeof(InlineRoutes).Assembly)
            {
                continue;
            }
            var folder = Path.GetDirectoryName(assembly.Location);
            // Of a self-contained application all lie in one folder.
            var isFramework = runtime != aspnet && (folder == runtime || folder == aspnet);
            if (!isFramework && Names(assembly))
            {
                return true;
            }
        }
        return false;
    }

    private static unsafe bool Names(Assembly assembly)
    {
        if (!assembly.TryGetRawMetadata(out var data, out var length))
        {
            return false;
        }
        var metadata = new MetadataReader(data, length);
        foreach (var handle in metadata.TypeReferences)
        {
            var type = metadata.GetTypeReference(handle);
            if (IsMark(metadata, type.Name, type.Namespace))
            {
                return true;
            }
        }
        foreach (var handle in metadata.TypeDefinitions)
        {
            var type = metadata.GetTypeDefinition(handle);
            if (IsMark(metadata, type.Name, type.Namespace))
            {
                return true;
            }
        }
        return false;
    }

    private static bool IsMark(MetadataReader metadata, StringHandle name, StringHandle space) =>
        metadata.StringComparer.Equals(name, MarkName) && metadata.StringComparer.Equals(space, MarkNamespace);
}

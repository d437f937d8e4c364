using System.Text;
using System.Text.Json;
using Microsoft.CodeAnalysis.CSharp;

namespace Polyhost.Compiler;

/// <summary>The compiler as an export, for hosts that build whole projects where there is no SDK.</summary>
internal static class CompileExport
{
    private const string Library = "library";
    private const string Program = "program";

    /// <summary>Compiles what a JSON object says, to a file with its symbols (.pdb), documentation (.xml) and, for a
    /// program, runtime configuration beside it; returns a JSON object with the warnings.</summary>
    [Export("polyhost.compiler/Compile")]
    private static byte[] Compile(byte[] input)
    {
        using var json = Parse(input);
        var request = Read(json.RootElement, out var output);
        var module = CSharp.Compile(request);
        Write(output, module, request);
        using var reply = new MemoryStream();
        using (var writer = new Utf8JsonWriter(reply))
        {
            writer.WriteStartObject();
            writer.WriteStartArray("warnings");
            foreach (var warning in module.Warnings)
            {
                writer.WriteStringValue(warning);
            }
            writer.WriteEndArray();
            writer.WriteEndObject();
        }
        return reply.ToArray();
    }

    private static JsonDocument Parse(byte[] input)
    {
        try
        {
            return JsonDocument.Parse(input);
        }
        catch (JsonException e)
        {
            throw Wrong($"the request is not JSON: {e.Message}");
        }
    }

    private static Request Read(JsonElement json, out string output)
    {
        if (json.ValueKind != JsonValueKind.Object)
        {
            throw Wrong("the request is not a JSON object");
        }
        string? target = null, name = null, version = null, language = null, kind = null;
        List<string> sources = [], references = [], defines = [];
        bool web = false, plain = false;
        foreach (var property in json.EnumerateObject())
        {
            switch (property.Name)
            {
                case "output": target = Text(property); break;
                case "name": name = Text(property); break;
                case "version": version = Text(property); break;
                case "language": language = Text(property); break;
                case "kind": kind = Text(property); break;
                case "sources": sources = List(property); break;
                case "references": references = List(property); break;
                case "defines": defines = List(property); break;
                case "web": web = Flag(property); break;
                case "plain": plain = Flag(property); break;
                default:
                    throw Wrong($"unknown key {property.Name}; there are: output, sources, references, defines, kind, "
                        + " name, version, language, web, plain");
            }
        }
        output = target ?? throw Wrong("no output: the file to write, such as out/App.dll");
        if (sources.Count == 0)
        {
            throw Wrong("no sources: name at least one file");
        }
        if (kind is not (null or Library or Program))
        {
            throw Wrong($"unknown kind {kind}; there are: {Library}, {Program}");
        }
        if (!LanguageVersionFacts.TryParse(language ?? "default", out var parsed))
        {
            throw Wrong($"unknown language {language}; name a version of C#, such as 12 or latest");
        }
        return new Request
        {
            Name = name ?? Path.GetFileNameWithoutExtension(output),
            Version = version ?? "1.0.0.0",
            Language = parsed,
            Sources = sources.Select(Source.Read).ToList(),
            References = references,
            Defines = defines,
            IsProgram = kind == Program,
            IsWeb = web,
            IsPlain = plain,
        };
    }

    private static void Write(string output, CompiledModule module, Request request)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(output))!);
        File.WriteAllBytes(Path.ChangeExtension(output, ".pdb"), module.Symbols);
        File.WriteAllText(Path.ChangeExtension(output, ".xml"), module.Documentation);
        if (request.IsProgram)
        {
            File.WriteAllBytes(Path.ChangeExtension(output, ".runtimeconfig.json"), RuntimeConfig(request.IsWeb));
        }
        // Last, and in one step: whoever finds the assembly finds all of it.
        var part = output + ".part";
        File.WriteAllBytes(part, module.Assembly);
        File.Move(part, output, overwrite: true);
    }

    private static byte[] RuntimeConfig(bool web)
    {
        var version = $"{Environment.Version.Major}.{Environment.Version.Minor}";
        var aspnet = web ? $$""", { "name": "Microsoft.AspNetCore.App", "version": "{{version}}.0" }""" : "";
        return Encoding.UTF8.GetBytes($$"""
            {
              "runtimeOptions": {
                "tfm": "net{{version}}",
                "rollForward": "Major",
                "frameworks": [{ "name": "Microsoft.NETCore.App", "version": "{{version}}.0" }{{aspnet}}]
              }
            }

            """);
    }

    private static string Text(JsonProperty property) =>
        property.Value.ValueKind == JsonValueKind.String ? property.Value.GetString()! : throw Wrong($"{property.Name} is no text");

    private static bool Flag(JsonProperty property) => property.Value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Wrong($"{property.Name} is neither true nor false"),
    };

    private static List<string> List(JsonProperty property) =>
        property.Value.ValueKind == JsonValueKind.Array && property.Value.EnumerateArray().All(e => e.ValueKind == JsonValueKind.String)
            ? property.Value.EnumerateArray().Select(element => element.GetString()!).ToList()
            : throw Wrong($"{property.Name} is no list of texts");

    private static StatusException Wrong(string message) => new(StatusCode.InvalidArgument, message);
}

using System.Security.Cryptography;
using Microsoft.Net.Http.Headers;

namespace HttpContract;

/// <summary>Files and ranges of them.</summary>
internal static class Files
{
    private static readonly EntityTagHeaderValue s_tag = new("\"alphabet\"");
    private static readonly DateTimeOffset s_modified = new(2020, 2, 2, 2, 2, 2, TimeSpan.Zero);

    internal static void Map(WebApplication app)
    {
        var alphabet = Path.Combine(app.Environment.WebRootPath, "alphabet.txt");
        app.Map("/file/range", () => Results.File(alphabet, "text/plain", null, s_modified, s_tag, true));
        app.Map("/file/whole", () => Results.File(alphabet, "text/plain", "name ü.txt", s_modified, s_tag));
        app.Map("/file/bytes", () => Results.Bytes(File.ReadAllBytes(alphabet), "text/plain", null, true, s_modified));
        app.Map("/file/stream", () => Results.Stream(File.OpenRead(alphabet), "text/plain", null, s_modified, s_tag, true));
        app.Map("/file/send", (HttpContext context) =>
        {
            var request = context.Request;
            if (request.Flag("length"))
            {
                context.Response.ContentLength = request.Number("length", 26);
            }
            var count = request.Flag("count") ? request.Number("count", 0) : (long?)null;
            return context.Response.SendFileAsync(alphabet, request.Number("offset", 0), count);
        });
        app.Map("/file/send-between", async (HttpContext context) =>
        {
            await context.Response.WriteAsync("before;");
            await context.Response.SendFileAsync(alphabet, 2, 3);
            await context.Response.WriteAsync(";after");
        });
        app.Map("/file/missing", (HttpContext context) => context.Response.SendFileAsync("/nowhere/at/all.txt"));
        app.Map("/file/large", async (HttpContext context) =>
        {
            var path = typeof(Files).Assembly.Location;
            var hash = SHA256.HashData(await File.ReadAllBytesAsync(path));
            context.Response.Headers["X-Hash"] = Convert.ToHexString(hash);
            await context.Response.SendFileAsync(path);
        });
    }
}

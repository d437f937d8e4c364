using System.Text;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Mvc;

namespace Polyhost
{
    /// <summary>Known to Polyhost by its name alone.</summary>
    [AttributeUsage(AttributeTargets.Method | AttributeTargets.Class)]
    internal sealed class InlineAttribute : Attribute
    {
    }
}

namespace Takeover
{
    /// <summary>Endpoints that tell on which thread they run.</summary>
    internal static class Dispatch
    {
        internal static void Map(IEndpointRouteBuilder routes)
        {
            routes.MapGet("/pool", Answer);
            routes.MapGet("/marked", [Polyhost.Inline] (HttpContext context) => Answer(context));
            routes.MapGet("/marked/object", Answer).WithMetadata(new Polyhost.InlineAttribute());
            routes.MapGet("/marked/{id}", [Polyhost.Inline] (HttpContext context) => Answer(context));
            routes.MapPost("/marked/{id}", Answer);
            routes.MapGet("/marked/slow", Answer);
            routes.MapGet("/number/{id:int}", [Polyhost.Inline] (HttpContext context) => Answer(context));
            routes.MapGet("/constrained/{id:int}", [Polyhost.Inline] (HttpContext context) => Answer(context));
            routes.MapGet("/constrained/{name}", Answer);
            routes.MapGet("/file-{name}", [Polyhost.Inline] (HttpContext context) => Answer(context));
            routes.MapGet("/host", [Polyhost.Inline] (HttpContext context) => Answer(context)).RequireHost("localhost");
            routes.MapPost("/body", [Polyhost.Inline] (HttpContext context) => ReadSynchronously(context));
            routes.MapGet("/large", [Polyhost.Inline] (HttpContext context) => WriteAndBlock(context));
        }

        internal static string Thread => System.Threading.Thread.CurrentThread.IsThreadPoolThread ? "pool" : "I/O thread";

        private static Task Answer(HttpContext context) => context.Response.WriteAsync(Thread);

        /// <summary>As code that knows of no other way does.</summary>
        private static async Task ReadSynchronously(HttpContext context)
        {
            var thread = Thread;
            context.Features.Get<IHttpBodyControlFeature>()!.AllowSynchronousIO = true;
            using var reader = new StreamReader(context.Request.Body);
            // Both ways to wait for it on this thread.
            var first = new char[1];
            var count = reader.Read(first, 0, 1);
            var rest = reader.ReadToEndAsync().Result;
            await context.Response.WriteAsync($"{thread}: {count + rest.Length}");
        }

        /// <summary>Waits for a client that must read before it can be written to.</summary>
        private static Task WriteAndBlock(HttpContext context)
        {
            context.Response.ContentLength = 64 << 20;
            var part = Encoding.ASCII.GetBytes(new string('x', 1 << 20));
            for (var i = 0; i < 64; i++)
            {
                context.Response.Body.WriteAsync(part).AsTask().Wait();
            }
            return Task.CompletedTask;
        }
    }

    public sealed class DispatchController : ControllerBase
    {
        [Polyhost.Inline]
        public string Marked() => Dispatch.Thread;

        public string Index() => Dispatch.Thread;
    }
}

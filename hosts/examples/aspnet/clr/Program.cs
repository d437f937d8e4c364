// An ordinary minimal API: `dotnet Shop.dll` serves it with Kestrel, `polyhost serve Shop.dll` with Rust, and main.rs
// beside this folder puts a route in Rust before it.

using System.Collections.Concurrent;

var builder = WebApplication.CreateBuilder(args);
builder.Logging.SetMinimumLevel(LogLevel.Warning);
var app = builder.Build();

var prices = new Dictionary<string, decimal> { ["espresso"] = 2.20m, ["cappuccino"] = 3.10m, ["latte"] = 3.40m };
var orders = new ConcurrentDictionary<int, Order>();
var last = 0;

app.Use((context, next) =>
{
    context.Response.Headers["x-answered-by"] = $"C# on .NET {Environment.Version}";
    return next(context);
});
app.MapGet("/coffees", () => prices.Keys);
app.MapGet("/coffees/{name}", (string name) =>
    prices.TryGetValue(name, out var price) ? Results.Ok(new { name, price }) : Results.NotFound());
app.MapPost("/orders", (Wish wish) =>
{
    if (!prices.TryGetValue(wish.Coffee, out var price) || wish.Count < 1)
    {
        return Results.ValidationProblem(new Dictionary<string, string[]> { ["coffee"] = ["is not on the menu, or none is ordered"] });
    }
    var order = new Order(Interlocked.Increment(ref last), wish.Coffee, wish.Count, wish.Count * price);
    orders[order.Id] = order;
    return Results.Created($"/orders/{order.Id}", order);
});
app.MapGet("/orders/{id:int}", (int id) => orders.TryGetValue(id, out var order) ? Results.Ok(order) : Results.NotFound());
app.Run();

internal sealed record Wish(string Coffee, int Count);

internal sealed record Order(int Id, string Coffee, int Count, decimal Total);

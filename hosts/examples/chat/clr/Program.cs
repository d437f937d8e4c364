// A chat with rooms: a page in wwwroot, and a SignalR hub. `dotnet Chat.dll` serves it with Kestrel,
// `polyhost serve Chat.dll` with Rust.

using Chat;

var builder = WebApplication.CreateBuilder(args);
builder.Logging.SetMinimumLevel(LogLevel.Warning);
builder.Services.AddSingleton<Rooms>();
// Two at once, as a question waits for the answers of clients.
builder.Services.AddSignalR(options => options.MaximumParallelInvocationsPerClient = 2);

var app = builder.Build();
app.UseDefaultFiles();
app.UseStaticFiles();
app.MapHub<ChatHub>("/hub");
app.Run();

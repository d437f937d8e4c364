// A shelf of books: controllers, Razor views, a form, a session, static files. `dotnet Bookshelf.dll` serves it with
// Kestrel, `polyhost serve Bookshelf.dll` with Rust.

using Bookshelf.Models;
using Microsoft.AspNetCore.Mvc;

var builder = WebApplication.CreateBuilder(args);
builder.Logging.SetMinimumLevel(LogLevel.Warning);
builder.Services.AddSingleton<Books>();
builder.Services.AddSession();
// Every form that changes something must come from a page of ours.
builder.Services.AddControllersWithViews(options => options.Filters.Add<AutoValidateAntiforgeryTokenAttribute>());
builder.Services.AddRouting(options => options.LowercaseUrls = true);

var app = builder.Build();
app.UseExceptionHandler("/status/500");
app.UseStatusCodePagesWithReExecute("/status/{0}");
app.UseStaticFiles();
app.UseRouting();
app.UseSession();
app.MapControllerRoute("default", "{controller=Books}/{action=Index}/{id?}");
app.Run();

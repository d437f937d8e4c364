using Microsoft.AspNetCore.Mvc;

namespace Bookshelf.Controllers;

/// <summary>The pages in the place of errors.</summary>
[IgnoreAntiforgeryToken]
public sealed class StatusController : Controller
{
    [Route("status/{code:int}")]
    public IActionResult Index(int code) => View(code);
}

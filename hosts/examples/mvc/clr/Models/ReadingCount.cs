using Microsoft.AspNetCore.Mvc;

namespace Bookshelf.Models;

/// <summary>How many books are on the visitor's list, for the head of every page.</summary>
public sealed class ReadingCount : ViewComponent
{
    public IViewComponentResult Invoke() => View(HttpContext.Session.ToRead().Count);
}

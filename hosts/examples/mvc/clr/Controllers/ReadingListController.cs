using Bookshelf.Models;
using Microsoft.AspNetCore.Mvc;

namespace Bookshelf.Controllers;

[Route("reading-list")]
public sealed class ReadingListController(Books books) : Controller
{
    [HttpGet("")]
    public IActionResult Index() => View(HttpContext.Session.ToRead().Select(books.Find).OfType<Book>().ToList());

    [HttpPost("{id:int}")]
    public IActionResult Toggle(int id)
    {
        if (books.Find(id) is not { } book)
        {
            return NotFound();
        }
        var ids = HttpContext.Session.ToRead().ToList();
        var was = ids.Remove(id);
        if (!was)
        {
            ids.Add(id);
        }
        HttpContext.Session.KeepToRead(ids);
        TempData["Told"] = was ? $"“{book.Title}” is off your list." : $"“{book.Title}” is on your list.";
        return RedirectToAction(nameof(Index));
    }
}

using Bookshelf.Models;
using Microsoft.AspNetCore.Mvc;

namespace Bookshelf.Controllers;

public sealed class BooksController(Books books) : Controller
{
    public IActionResult Index() => View(books.All());

    public IActionResult Details(int id) => books.Find(id) is { } book ? View(book) : NotFound();

    public IActionResult Add() => View(new Book());

    [HttpPost]
    public IActionResult Add(Book book)
    {
        if (!ModelState.IsValid)
        {
            return View(book);
        }
        if (books.Add(book) is not { } added)
        {
            ModelState.AddModelError(nameof(Book.Title), "There is a book of this title already.");
            return View(book);
        }
        TempData["Told"] = $"“{added.Title}” stands on the shelf now.";
        return RedirectToAction(nameof(Details), new { id = added.Id });
    }
}

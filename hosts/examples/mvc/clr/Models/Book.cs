using System.ComponentModel.DataAnnotations;

namespace Bookshelf.Models;

/// <summary>A book, and the form to add one.</summary>
public sealed class Book
{
    public int Id { get; init; }

    [Required, StringLength(80)]
    public string Title { get; set; } = "";

    [Required, StringLength(60)]
    public string Author { get; set; } = "";

    [Required, Range(1450, 2100)]
    public int? Year { get; set; }

    [StringLength(400), Display(Name = "Why read it?"), DataType(DataType.MultilineText)]
    public string? Note { get; set; }
}

namespace Bookshelf.Models;

/// <summary>All books. They live as long as the process.</summary>
public sealed class Books
{
    private readonly object _lock = new();
    private readonly List<Book> _books = [];

    public Books()
    {
        Add(new Book { Title = "The Left Hand of Darkness", Author = "Ursula K. Le Guin", Year = 1969, Note = "An envoy, a frozen world, and a friendship across it." });
        Add(new Book { Title = "Momo", Author = "Michael Ende", Year = 1973, Note = "About time, and those who steal it." });
        Add(new Book { Title = "Cien años de soledad", Author = "Gabriel García Márquez", Year = 1967 });
        Add(new Book { Title = "The Master and Margarita", Author = "Mikhail Bulgakov", Year = 1967, Note = "The devil comes to Moscow, with a cat." });
        Add(new Book { Title = "Invisible Cities", Author = "Italo Calvino", Year = 1972 });
    }

    public IReadOnlyList<Book> All()
    {
        lock (_lock)
        {
            return _books.OrderBy(book => book.Title, StringComparer.OrdinalIgnoreCase).ToList();
        }
    }

    public Book? Find(int id)
    {
        lock (_lock)
        {
            return _books.Find(book => book.Id == id);
        }
    }

    /// <summary>The book on the shelf, or null where one of that title is there already.</summary>
    public Book? Add(Book book)
    {
        lock (_lock)
        {
            if (_books.Exists(it => string.Equals(it.Title, book.Title, StringComparison.OrdinalIgnoreCase)))
            {
                return null;
            }
            var kept = new Book { Id = _books.Count + 1, Title = book.Title, Author = book.Author, Year = book.Year, Note = book.Note };
            _books.Add(kept);
            return kept;
        }
    }
}

namespace Bookshelf.Models;

/// <summary>The books that a visitor wants to read, by their ids, in the session.</summary>
public static class ReadingList
{
    private const string Key = "reading list";

    public static IReadOnlyList<int> ToRead(this ISession session) =>
        session.GetString(Key)?.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse).ToList() ?? [];

    public static void KeepToRead(this ISession session, IEnumerable<int> ids) => session.SetString(Key, string.Join(',', ids));
}

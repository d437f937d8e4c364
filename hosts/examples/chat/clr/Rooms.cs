namespace Chat;

public sealed record Person(string Name, string Room);

/// <summary>What was said; a greater number was said later.</summary>
public sealed record Message(long Id, string Name, string Text, DateTimeOffset At);

public sealed record Votes(int Yes, int No, int Silent);

/// <summary>Who is where, by connection, and what was said there. It lives as long as the process.</summary>
public sealed class Rooms
{
    private const int Kept = 100;
    private readonly object _lock = new();
    private readonly Dictionary<string, Person> _people = [];
    private readonly Dictionary<string, Queue<Message>> _past = [];
    private long _last;

    /// <summary>Held by whoever tells who is there.</summary>
    public SemaphoreSlim Turn { get; } = new(1);

    public void Enter(string id, Person person)
    {
        lock (_lock)
        {
            _people[id] = person;
        }
    }

    public Person? Find(string id)
    {
        lock (_lock)
        {
            return _people.GetValueOrDefault(id);
        }
    }

    public Person? Leave(string id)
    {
        lock (_lock)
        {
            return _people.Remove(id, out var person) ? person : null;
        }
    }

    public string[] In(string room)
    {
        lock (_lock)
        {
            return _people.Where(it => it.Value.Room == room).Select(it => it.Key).ToArray();
        }
    }

    public string[] Names(string room)
    {
        lock (_lock)
        {
            return _people.Values.Where(it => it.Room == room).Select(it => it.Name).Order(StringComparer.Ordinal).ToArray();
        }
    }

    public SortedDictionary<string, int> Counts()
    {
        lock (_lock)
        {
            var counts = _people.Values.GroupBy(it => it.Room).ToDictionary(it => it.Key, it => it.Count());
            return new SortedDictionary<string, int>(counts, StringComparer.Ordinal);
        }
    }

    public Message Keep(string room, string name, string text)
    {
        lock (_lock)
        {
            var message = new Message(++_last, name, text, DateTimeOffset.UtcNow);
            var past = _past.TryGetValue(room, out var there) ? there : _past[room] = new();
            past.Enqueue(message);
            if (past.Count > Kept)
            {
                past.Dequeue();
            }
            return message;
        }
    }

    public Message[] Past(string room)
    {
        lock (_lock)
        {
            return _past.TryGetValue(room, out var past) ? past.ToArray() : [];
        }
    }
}

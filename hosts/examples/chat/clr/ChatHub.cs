using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.SignalR;

namespace Chat;

/// <summary>What clients can ask for. They are told: rooms, people, said; and asked: vote.</summary>
public sealed class ChatHub(Rooms rooms) : Hub
{
    private const int LongestText = 1000;
    private static readonly TimeSpan s_timeToVote = TimeSpan.FromSeconds(30);

    /// <summary>Goes into a room, out of the one before.</summary>
    public async Task Join(string room, string name)
    {
        if (string.IsNullOrWhiteSpace(name) || string.IsNullOrWhiteSpace(room))
        {
            throw new HubException("a name and a room are needed");
        }
        await Leave();
        rooms.Enter(Context.ConnectionId, new Person(name.Trim(), room.Trim()));
        await Groups.AddToGroupAsync(Context.ConnectionId, room.Trim());
        await TellWhoIsThere(room.Trim());
    }

    /// <summary>Says something to everybody in the room.</summary>
    public async Task Say(string text)
    {
        var me = Me();
        if (string.IsNullOrWhiteSpace(text) || text.Length > LongestText)
        {
            throw new HubException($"a message has 1 to {LongestText} characters");
        }
        await Clients.Group(me.Room).SendAsync("said", rooms.Keep(me.Room, me.Name, text));
    }

    /// <summary>What was said in the room, the oldest first.</summary>
    public async IAsyncEnumerable<Message> History([EnumeratorCancellation] CancellationToken cancelled)
    {
        foreach (var message in rooms.Past(Me().Room))
        {
            cancelled.ThrowIfCancellationRequested();
            yield return message;
            await Task.Yield();
        }
    }

    /// <summary>Asks all others in the room, and tells everybody there how they voted.</summary>
    public async Task<Votes> Ask(string question)
    {
        var me = Me();
        using var time = CancellationTokenSource.CreateLinkedTokenSource(Context.ConnectionAborted);
        time.CancelAfter(s_timeToVote);
        var others = rooms.In(me.Room).Where(id => id != Context.ConnectionId);
        var answers = await Task.WhenAll(others.Select(id => Vote(id, me.Name, question, time.Token)));
        int Count(bool? answer) => answers.Count(it => it == answer);
        var votes = new Votes(Count(true), Count(false), Count(null));
        var text = $"{question} {votes.Yes} yes, {votes.No} no" + (votes.Silent > 0 ? $", {votes.Silent} silent" : "");
        await Clients.Group(me.Room).SendAsync("said", rooms.Keep(me.Room, $"{me.Name} asked", text));
        return votes;
    }

    /// <inheritdoc/>
    public override Task OnDisconnectedAsync(Exception? exception) => Leave();

    private async Task<bool?> Vote(string id, string name, string question, CancellationToken time)
    {
        try
        {
            return await Clients.Client(id).InvokeAsync<bool>("vote", name, question, time);
        }
        catch (Exception e) when (e is OperationCanceledException or HubException or IOException)
        {
            return null;    // Gone, too slow, or a client that can't vote.
        }
    }

    private async Task Leave()
    {
        if (rooms.Leave(Context.ConnectionId) is { } was)
        {
            await Groups.RemoveFromGroupAsync(Context.ConnectionId, was.Room);
            await TellWhoIsThere(was.Room);
        }
    }

    private async Task TellWhoIsThere(string room)
    {
        // One after the other: a list that is older must not come later.
        await rooms.Turn.WaitAsync();
        try
        {
            await Clients.Group(room).SendAsync("people", rooms.Names(room));
            await Clients.All.SendAsync("rooms", rooms.Counts());
        }
        finally
        {
            rooms.Turn.Release();
        }
    }

    private Person Me() => rooms.Find(Context.ConnectionId) ?? throw new HubException("join a room first");
}

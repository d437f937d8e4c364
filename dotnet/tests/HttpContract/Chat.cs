using Microsoft.AspNetCore.SignalR;

namespace HttpContract;

/// <summary>A hub for SignalR's clients.</summary>
internal sealed class Chat : Hub
{
    public int Add(int a, int b) => a + b;

    public Task Say(string text) => Clients.Caller.SendAsync("said", text);

    public async IAsyncEnumerable<int> Count(int to)
    {
        for (var i = 0; i < to; i++)
        {
            yield return i;
            await Task.Yield();
        }
    }

    public void Fail() => throw new HubException("failed on purpose");
}

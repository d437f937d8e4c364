using Xunit;

namespace Polyhost.AspNetCore.Tests;

public sealed class WaitTests
{
    [Fact]
    public async Task ATokenThatIsWatchedTooLateDoesNotReachTheNextWait()
    {
        using var source = new CancellationTokenSource();
        var owner = new Owner();
        var wait = new Wait<int>(owner);
        var first = wait.Begin();
        wait.SetResult(1);
        wait.Watch(source.Token);
        Assert.Equal(1, await first);
        var second = wait.Begin();
        await source.CancelAsync();
        Assert.False(owner.IsCanceled);
        wait.SetResult(2);
        Assert.Equal(2, await second);
    }

    [Fact]
    public async Task WhoCancelsDoesNotRunWhatWaits()
    {
        using var source = new CancellationTokenSource();
        var wait = new Wait<int>(new Owner());
        var waiting = wait.Begin().AsTask();
        var thread = 0;
        var next = waiting.ContinueWith(
            _ => thread = Environment.CurrentManagedThreadId, TaskContinuationOptions.ExecuteSynchronously);
        wait.Watch(source.Token);
        var canceling = new Thread(source.Cancel);
        canceling.Start();
        var own = canceling.ManagedThreadId;
        await next;
        canceling.Join();
        Assert.True(waiting.IsCanceled);
        Assert.NotEqual(own, thread);
    }

    private sealed class Owner : IWaitOwner<int>
    {
        internal bool IsCanceled { get; private set; }

        void IWaitOwner<int>.Resume(Wait<int> wait) => throw new NotSupportedException();

        void IWaitOwner<int>.Cancel(Wait<int> wait, CancellationToken token)
        {
            IsCanceled = true;
            wait.SetCanceled(token);
        }
    }
}

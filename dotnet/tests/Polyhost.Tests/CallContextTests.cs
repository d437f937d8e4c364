using Xunit;

namespace Polyhost.Tests;

public sealed class CallContextTests
{
    [Fact]
    public unsafe void AContextRefusesAllUseOnceItsCallHasEnded()
    {
        var context = new CallContext(null, new GuestModule("m", 1));
        context.End();
        // Would the host be asked, this process would die: there is none.
        Assert.Throws<ObjectDisposedException>(() => context.Remaining);
        Assert.Throws<ObjectDisposedException>(() => context.IsCancelled);
        Assert.Throws<ObjectDisposedException>(() => context.Metadata);
        Assert.Throws<ObjectDisposedException>(() => context.CancellationToken);
        Assert.Throws<ObjectDisposedException>(() => context.Call("s", [1]));
    }

    [Fact]
    public void OutsideOfACallThereIsNoContext() => Assert.Null(CallContext.Current);

    [Fact]
    public void AStatusHasACodeOtherThanOk() =>
        Assert.Throws<ArgumentException>(() => new StatusException(StatusCode.Ok, "fine"));
}

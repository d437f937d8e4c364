using Xunit;

namespace Polyhost.Tests;

public sealed class FunctionTableTests
{
    [Fact]
    public void AnIdIsNeverUsedAgain()
    {
        var first = Add();
        FunctionTable.Remove(first);
        var second = Add();
        Assert.Equal((uint)first.Id, (uint)second.Id);
        Assert.NotEqual(first.Id, second.Id);
        Assert.Null(FunctionTable.Find(first.Id));
        Assert.Same(second, FunctionTable.Find(second.Id));
        FunctionTable.Remove(second);
    }

    [Theory]
    [InlineData(0ul)]
    [InlineData(uint.MaxValue)]
    [InlineData(ulong.MaxValue)]
    public void AnIdThatNobodyGaveFindsNothing(ulong id) => Assert.Null(FunctionTable.Find(id));

    [Fact]
    public void TheTableGrowsAndKeepsWhatIsThere()
    {
        var all = Enumerable.Range(0, 100).Select(_ => Add()).ToList();
        Assert.Equal(100, all.Select(function => function.Id).Distinct().Count());
        Assert.All(all, function => Assert.Same(function, FunctionTable.Find(function.Id)));
        all.ForEach(FunctionTable.Remove);
        Assert.All(all, function => Assert.Null(FunctionTable.Find(function.Id)));
    }

    private static Function Add()
    {
        var function = new Function("x", static (_, _) => { });
        FunctionTable.Add(function);
        return function;
    }
}

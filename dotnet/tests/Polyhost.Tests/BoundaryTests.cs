using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Xunit;

namespace Polyhost.Tests;

/// <summary>What must hold for every function that crosses.</summary>
public sealed class BoundaryTests
{
    private const BindingFlags All = BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic
        | BindingFlags.DeclaredOnly;

    /// <summary>Of what runs outside of the outermost handler: to set locals, and to leave.</summary>
    private const int MaxUnguarded = 16;

    public static TheoryData<string> Entries => [.. Methods().Select(method => method.Name)];

    [Fact]
    public void ThereAreTheSevenFunctionsOfTheTable() =>
        Assert.Equal(["Bootstrap", "Call", "Cancel", "Close", "Heap", "Open", "Shutdown"], Methods().Select(method => method.Name).Order());

    [Theory]
    [MemberData(nameof(Entries))]
    public void AnEntryCatchesEverything(string name)
    {
        // An exception that leaves such a method ends the process, with no way to stop it.
        var body = Methods().Single(method => method.Name == name).GetMethodBody()!;
        var guard = Assert.Single(body.ExceptionHandlingClauses, clause => clause.TryOffset <= MaxUnguarded
            && clause is { Flags: ExceptionHandlingClauseOptions.Clause } && clause.CatchType == typeof(Exception));
        var guarded = guard.HandlerOffset + guard.HandlerLength;
        Assert.InRange(body.GetILAsByteArray()!.Length - guarded, 0, MaxUnguarded);
    }

    [Theory]
    [InlineData(typeof(PolyhostSlice), 16)]
    [InlineData(typeof(PolyhostOutput), 32)]
    [InlineData(typeof(PolyhostHost), 8 + (13 * 8))]
    [InlineData(typeof(PolyhostSource), 64)]
    [InlineData(typeof(PolyhostExport), 80)]
    [InlineData(typeof(PolyhostModule), 48)]
    [InlineData(typeof(PolyhostGuest), 88)]
    public void AStructHasTheSizeThatTheHeaderGivesIt(Type type, int size)
    {
        var sizeOf = typeof(Unsafe).GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(type);
        Assert.Equal(size, sizeOf.Invoke(null, null));
    }

    private static IEnumerable<MethodInfo> Methods() => typeof(Shim).Assembly.GetTypes()
        .Concat(typeof(ExportAttribute).Assembly.GetTypes()).SelectMany(type => type.GetMethods(All))
        .Where(method => method.IsDefined(typeof(UnmanagedCallersOnlyAttribute)));
}

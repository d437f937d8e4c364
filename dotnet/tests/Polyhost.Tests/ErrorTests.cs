using System.Text;
using Xunit;

namespace Polyhost.Tests;

/// <summary>The report of an exception, read back by a reader of its own: what is written has to be protobuf.</summary>
public sealed class ErrorTests
{
    [Fact]
    public void AnExceptionTellsItsTypeMessageFramesAndCause()
    {
        var guest = Read(Error.Guest(Thrown(), depth: 8));
        Assert.Equal("System.InvalidOperationException", Text(guest, 1));
        Assert.Equal("outer", Text(guest, 2));
        var frame = Fields(guest.First(field => field.Number == 3).Bytes);
        Assert.Equal("Polyhost.Tests.ErrorTests.Throw", Text(frame, 1));
        Assert.EndsWith("ErrorTests.cs", Text(frame, 2), StringComparison.Ordinal);
        Assert.True(frame.Single(field => field.Number == 3).Value > 0);
        var cause = Fields(guest.Single(field => field.Number == 4).Bytes);
        Assert.Equal("Polyhost.StatusException", Text(cause, 1));
        Assert.Equal((ulong)StatusCode.NotFound, cause.Single(field => field.Number == 5).Value);
        Assert.DoesNotContain(guest, field => field.Number == 5);
    }

    [Fact]
    public async Task AnAsyncMethodHasItsOwnNameInItsFrames()
    {
        var error = await Assert.ThrowsAsync<InvalidOperationException>(ThrowLater);
        var guest = Read(Error.Guest(error, depth: 0));
        var names = guest.Where(field => field.Number == 3).Select(field => Text(Fields(field.Bytes), 1));
        Assert.Contains("Polyhost.Tests.ErrorTests.ThrowLater", names);
    }

    [Fact]
    public void AChainOfCausesIsCut()
    {
        var error = new Exception("last");
        for (var i = 0; i < 100; i++)
        {
            error = new Exception($"{i}", error);
        }
        var depth = 0;
        var next = Read(Error.Guest(error, depth: 8));
        while (next.Find(field => field.Number == 4) is { Bytes.Length: > 0 } cause)
        {
            next = Fields(cause.Bytes);
            depth++;
        }
        Assert.Equal(8, depth);
    }

    private static Exception Thrown()
    {
        try
        {
            Throw();
            throw new NotSupportedException();
        }
        catch (InvalidOperationException e)
        {
            return e;
        }
    }

    private static void Throw() => throw new InvalidOperationException("outer", new StatusException(StatusCode.NotFound, "inner"));

    private static async Task ThrowLater()
    {
        await Task.Yield();
        throw new InvalidOperationException("later");
    }

    private sealed record Field(int Number, ulong Value, byte[] Bytes);

    private static List<Field> Read(MessageWriter writer) => Fields(writer.Written.ToArray());

    private static string Text(List<Field> fields, int number) => Encoding.UTF8.GetString(fields.Single(field => field.Number == number).Bytes);

    private static List<Field> Fields(byte[] message)
    {
        var input = new Google.Protobuf.CodedInputStream(message);
        var fields = new List<Field>();
        for (uint tag; (tag = input.ReadTag()) != 0;)
        {
            var (number, delimited) = ((int)(tag >> 3), (tag & 7) == 2);
            fields.Add(delimited
                ? new Field(number, 0, input.ReadBytes().ToByteArray())
                : new Field(number, input.ReadUInt64(), []));
        }
        return fields;
    }
}

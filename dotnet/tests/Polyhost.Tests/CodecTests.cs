using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Xunit;

namespace Polyhost.Tests;

public sealed class CodecTests
{
    [Fact]
    public void AMessageSurvivesTheWay()
    {
        var codec = Codec<Timestamp>.Instance;
        var message = new Timestamp { Seconds = 5, Nanos = 7 };
        var bytes = new byte[codec.Size(message)];
        codec.Write(message, bytes);
        Assert.Equal(message.ToByteArray(), bytes);
        Assert.Equal(message, codec.Reader(bytes));
        Assert.Equal("google.protobuf.Timestamp", codec.TypeName);
    }

    [Fact]
    public void BytesAreAsTheyAre()
    {
        var bytes = new byte[3];
        Codec<byte[]>.Instance.Write([1, 2, 3], bytes);
        Assert.Equal([1, 2, 3], Codec<byte[]>.Instance.Reader(bytes));
        Assert.Equal("", Codec<byte[]>.Instance.TypeName);
    }

    [Fact]
    public void AnyOtherTypeIsRefused()
    {
        var error = Assert.Throws<ArgumentException>(() => Codec<string>.Instance);
        Assert.StartsWith("System.String is neither byte[] nor a message of Google.Protobuf", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ASetHasEachFileOnceAndBehindWhatItNeeds()
    {
        var set = new DescriptorSet();
        set.Add(typeof(Api));
        set.Add(typeof(Google.Protobuf.WellKnownTypes.Type));
        set.Add(typeof(byte[]));
        var files = Google.Protobuf.Reflection.FileDescriptorSet.Parser.ParseFrom(set.Written).File.Select(file => file.Name).ToList();
        Assert.Equal(files.Distinct(), files);
        Assert.True(files.IndexOf("google/protobuf/any.proto") < files.IndexOf("google/protobuf/type.proto"));
        Assert.True(files.IndexOf("google/protobuf/type.proto") < files.IndexOf("google/protobuf/api.proto"));
    }
}

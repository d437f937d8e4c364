using System.Text;
using Bench.V1;
using Google.Protobuf;
using Polyhost;

namespace BenchWorkloads;

/// <summary>What the bench has every language do, in C#; workloads.proto says what that is.</summary>
public static class WorkloadsGuest
{
    private const string Next = "bench.v1.Host/Next";

    private static readonly Stages s_stages = new Stages()
        .AddEcho("bench.v1.Bench/Echo")
        .Add("bench.v1.Bench/Sum", SumRequest.Parser, Sum)
        .Add("bench.v1.Bench/Transform", Document.Parser, Transform);

    /// <summary>Returns its request.</summary>
    [Export("bench.v1.Bench/Echo")]
    public static void Echo(ReadOnlySpan<byte> input, Output output) => output.Write(input);

    /// <summary>Adds numbers up.</summary>
    [Export("bench.v1.Bench/Sum")]
    public static SumReply Sum(SumRequest request)
    {
        long integers = 0;
        foreach (long integer in request.Integers)
        {
            integers += integer;
        }

        double doubles = 0;
        foreach (double number in request.Doubles)
        {
            doubles += number;
        }

        return new SumReply { Integers = integers, Doubles = doubles };
    }

    /// <summary>Makes a summary of a document.</summary>
    [Export("bench.v1.Bench/Transform")]
    public static Summary Transform(Document document)
    {
        var summary = new Summary();
        foreach ((string key, string value) in document.Labels)
        {
            summary.Labels[key] = key + "=" + value;
        }

        var title = new StringBuilder(document.Title).Append(": ");
        var quantities = new Dictionary<string, ulong>();
        foreach (Section section in document.Sections)
        {
            if (summary.Sections.Count > 0)
            {
                title.Append(", ");
            }

            title.Append(section.Name);
            ulong total = 0;
            foreach (Line line in section.Lines)
            {
                total += (ulong)line.Quantity * line.Price;
                quantities[line.Sku] = quantities.GetValueOrDefault(line.Sku) + line.Quantity;
            }

            var lines = (uint)section.Lines.Count;
            summary.Sections.Add(new SectionSummary { Name = section.Name, Lines = lines, Total = total });
        }

        summary.Title = title.ToString();
        summary.Quantities.Add(quantities);
        return summary;
    }

    /// <summary>Calls the host so many times.</summary>
    [Export("bench.v1.Bench/Callback")]
    public static CallbackReply Callback(CallbackRequest request, CallContext context)
    {
        ulong sum = 0;
        var next = new NextRequest { Value = request.Start, Payload = request.Payload };
        for (uint i = 0; i < request.Calls; i++)
        {
            next.Value = context.Call<NextRequest, NextReply>(Next, next).Value;
            sum += next.Value;
        }

        return new CallbackReply { Sum = sum };
    }

    /// <summary>Does a stage of a method so many times.</summary>
    [Export("bench.v1.Stages/Repeat")]
    public static void Repeat(ReadOnlySpan<byte> input, Output output) => s_stages.Repeat(input, output);

    /// <summary>Tells what the numbers depend on.</summary>
    [Export("bench.v1.About/Facts")]
    public static byte[] About(byte[] input) => Facts.Tell();
}

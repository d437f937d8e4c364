// .NET's own clients against the application HttpContract. What they see is printed, one line for each check, and is the
// same at each run; the tests compare it for two servers (hosts/tests/http/clients.rs).

using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;

var address = new Uri($"http://{args[0]}/");
var connections = 0;
using var handler = new SocketsHttpHandler
{
    AllowAutoRedirect = false,
    ConnectCallback = async (context, token) =>
    {
        Interlocked.Increment(ref connections);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(context.DnsEndPoint, token);
        return new NetworkStream(socket, ownsSocket: true);
    },
};
using var client = new HttpClient(handler) { BaseAddress = address, Timeout = TimeSpan.FromSeconds(30) };

await Check("text", async () => await client.GetStringAsync("text"));
await Check("json", async () => await client.GetStringAsync("json"));
await Check("headers", async () =>
{
    using var response = await client.GetAsync("headers/many?n=50&size=100");
    return $"{response.StatusCode} {response.Headers.Count(it => it.Key.StartsWith("X-Header"))}";
});
await Check("missing path", async () => (await client.GetAsync("redirect")).Headers.Location?.OriginalString ?? "none");
await Check("post", async () =>
    await (await client.PostAsync("body/stream", new StringContent("hello"))).Content.ReadAsStringAsync());
await Check("post chunked", () => Post("body/hash", chunked: true, length: 3_000_000));
await Check("post with a length", () => Post("body/hash", chunked: false, length: 3_000_000));
await Check("post and back", () => Post("body/pipe", chunked: true, length: 1_000_000));
await Check("post with 100-continue", () => Post("body/hash", chunked: true, length: 100_000, expect: true));
await Check("post with 100-continue refused", () => Post("body/none", chunked: false, length: 100_000, expect: true));
await Check("form", async () =>
{
    using var form = new MultipartFormDataContent { { new StringContent("value"), "field" } };
    form.Add(new ByteArrayContent(new byte[] { 1, 2, 3 }), "file", "file.bin");
    return await (await client.PostAsync("form", form)).Content.ReadAsStringAsync();
});
await Check("large", async () => Hash(await client.GetByteArrayAsync("large?size=5000000")));
await Check("file", async () => Hash(await client.GetByteArrayAsync("alphabet.txt")));
await Check("range", async () =>
{
    using var request = new HttpRequestMessage(HttpMethod.Get, "alphabet.txt");
    request.Headers.Range = new(3, 7);
    using var response = await client.SendAsync(request);
    return $"{response.StatusCode} {response.Content.Headers.ContentRange} {await response.Content.ReadAsStringAsync()}";
});
await Check("head", async () =>
{
    using var response = await client.SendAsync(new HttpRequestMessage(HttpMethod.Head, "length?declare=5&write=5"));
    return $"{response.StatusCode} {response.Content.Headers.ContentLength}";
});
await Check("no content", async () => $"{(await client.GetAsync("status/204")).StatusCode}");
Console.WriteLine($"connections: {connections}");
await Check("broken response", async () => await client.GetStringAsync("throw/after-flush"));
await Check("short response", async () => await client.GetStringAsync("length?declare=5&write=4"));
await Check("aborted", async () => await client.GetStringAsync("abort/before"));
await Check("cancelled", async () =>
{
    using var cancel = new CancellationTokenSource();
    using var response = await client.GetAsync("aborted?key=net-cancel", HttpCompletionOption.ResponseHeadersRead);
    var stream = await response.Content.ReadAsStreamAsync();
    await stream.ReadExactlyAsync(new byte[7]);
    response.Dispose();
    return await client.GetStringAsync("events?key=net-cancel&until=aborted");
});
await Check("parallel", async () =>
{
    var all = await Task.WhenAll(Enumerable.Range(0, 200).Select(i => client.GetStringAsync($"query?i={i}")));
    return $"{all.Distinct().Count()}";
});

foreach (var compress in new[] { false, true })
{
    var name = compress ? "compressed socket" : "socket";
    await Check($"{name} messages", () => Talk(compress, async socket =>
    {
        var lengths = new List<int>();
        foreach (var length in new[] { 0, 1, 125, 126, 65535, 65536, 1_000_000 })
        {
            lengths.Add(await Echo(socket, length));
        }
        return string.Join(' ', lengths);
    }));
    await Check($"{name} text", () => Talk(compress, async socket =>
    {
        await socket.SendAsync("häl"u8.ToArray(), WebSocketMessageType.Text, false, default);
        await socket.SendAsync("lo"u8.ToArray(), WebSocketMessageType.Text, true, default);
        var (bytes, type) = await Receive(socket);
        return $"{Encoding.UTF8.GetString(bytes).Length} {type}";
    }));
}
await Check("socket closed by the server", () => Talk(false, async socket =>
{
    await socket.SendAsync("close"u8.ToArray(), WebSocketMessageType.Text, true, default);
    var result = await socket.ReceiveAsync(new byte[10], default);
    return $"{result.MessageType} {socket.CloseStatus} {socket.CloseStatusDescription}";
}));
await Check("sockets", async () =>
{
    var all = await Task.WhenAll(Enumerable.Range(1, 50).Select(i =>
        Talk(false, async socket => $"{await Echo(socket, i * 100)}")));
    return $"{all.Distinct().Count()}";
});

async Task<string> Post(string target, bool chunked, int length, bool expect = false)
{
    var body = new byte[length];
    Array.Fill(body, (byte)'b');
    using var request = new HttpRequestMessage(HttpMethod.Post, target);
    request.Content = new ByteArrayContent(body);
    request.Headers.TransferEncodingChunked = chunked;
    request.Headers.ExpectContinue = expect;
    using var response = await client.SendAsync(request);
    var text = await response.Content.ReadAsByteArrayAsync();
    return $"{response.StatusCode} {(text.Length < 100 ? Encoding.UTF8.GetString(text) : Hash(text))}";
}

async Task<string> Talk(bool compress, Func<ClientWebSocket, Task<string>> talk)
{
    using var socket = new ClientWebSocket();
    socket.Options.AddSubProtocol("chat");
    if (compress)
    {
        socket.Options.DangerousDeflateOptions = new WebSocketDeflateOptions();
    }
    await socket.ConnectAsync(new Uri($"ws://{args[0]}/websocket?{(compress ? "compress=1" : "")}"), default);
    var text = await talk(socket);
    await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "bye", default);
    return $"{socket.SubProtocol} {text} {socket.State} {socket.CloseStatus}";
}

static async Task<int> Echo(ClientWebSocket socket, int length)
{
    var message = new byte[length];
    Array.Fill(message, (byte)'m');
    // The server answers in pieces while it still reads, so that both have to go on at once.
    var sent = socket.SendAsync(message, WebSocketMessageType.Binary, true, default);
    var (received, _) = await Receive(socket);
    await sent;
    return received.AsSpan().SequenceEqual(message) ? length : -1;
}

static async Task<(byte[] Bytes, WebSocketMessageType Type)> Receive(ClientWebSocket socket)
{
    using var all = new MemoryStream();
    var buffer = new byte[16384];
    while (true)
    {
        var result = await socket.ReceiveAsync(buffer, default);
        all.Write(buffer, 0, result.Count);
        if (result.EndOfMessage)
        {
            return (all.ToArray(), result.MessageType);
        }
    }
}

static string Hash(byte[] bytes) => $"{bytes.Length} {Convert.ToHexString(SHA256.HashData(bytes))[..16]}";

static async Task Check(string name, Func<Task<string>> check)
{
    try
    {
        Console.WriteLine($"{name}: {(await check()).ReplaceLineEndings(" ")}");
    }
    catch (Exception e) when (e is HttpRequestException or IOException or WebSocketException)
    {
        Console.WriteLine($"{name}: {e.GetType().Name} {(e as HttpRequestException)?.HttpRequestError}");
    }
}

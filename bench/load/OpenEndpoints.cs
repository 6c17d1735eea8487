using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using WixOAuth.Processes;

namespace WixOAuth.Load;

/// <summary>
/// What a malicious request to a public endpoint costs, compared with the same request to an empty minimal API:
/// the server's own cost of reading it is not the service's.
/// </summary>
internal static class OpenEndpoints
{
    private const double Goal = 3;
    private const int Connections = 16;

    private static readonly TimeSpan s_warmUp = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan s_turn = TimeSpan.FromMilliseconds(250);

    public static async Task<IReadOnlyList<Measure>> MeasureAsync(LoadRun run)
    {
        var turns = run.Quick ? 4 : 12;
        await using var service = await run.StartServiceAsync(
            Surroundings.NewTableName(), null, ("Wix__WebhookPublicKey", run.Around.Wix.WebhookPublicKeyPem));
        await using var empty = EmptyProcess.Launch();
        await Parts.FirstAnswerAsync(empty.Url, Caller.Get(empty.Url, "/"), run.CancellationToken);
        var measures = new List<Measure>();
        foreach (var (what, request, status) in await RequestsAsync(service.Url, run.CancellationToken))
        {
            var toEmpty = SendToRoot(request);
            await ClosedLoop.RunAsync(empty.Url, toEmpty, Connections, s_warmUp, run.CancellationToken);
            await ClosedLoop.RunAsync(service.Url, request, Connections, s_warmUp, run.CancellationToken, status);
            var (ours, theirs) = (new List<LoadResult>(), new List<LoadResult>());
            var before = (Ours: service.ProcessorTime, Theirs: empty.ProcessorTime);
            for (var turn = 0; turn < turns; turn++)
            {
                theirs.Add(await ClosedLoop.RunAsync(empty.Url, toEmpty, Connections, s_turn, run.CancellationToken));
                ours.Add(await ClosedLoop.RunAsync(service.Url, request, Connections, s_turn, run.CancellationToken, status));
            }

            var (cost, least) = (CostOf(service.ProcessorTime - before.Ours, ours), CostOf(empty.ProcessorTime - before.Theirs, theirs));
            measures.Add(new(
                $"cost of a hostile request, against an empty endpoint that is sent the same: {what} ({status})", $"≤ {Goal} ×", $"{Figures.Of(cost / least)} ×", cost <= Goal * least,
                $"processor time {Figures.Of(cost, "F1")} and {Figures.Of(least, "F1")} µs a request; {turns} turns of {s_turn.TotalMilliseconds:F0} ms each"));
        }

        return measures;
    }

    private static double CostOf(TimeSpan processorTime, IEnumerable<LoadResult> loads) => processorTime.TotalMicroseconds / loads.Sum(load => load.Times.Count);

    private static async Task<IReadOnlyList<(string What, byte[] Request, int Status)>> RequestsAsync(Uri service, CancellationToken cancellationToken)
    {
        const string Id = "11111111-2222-4333-8444-555555555555";
        using var http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false });
        using var begun = await http.GetAsync(new Uri(service, "/api/install"), cancellationToken);
        var state = begun.Headers.Location!.Query.Split("state=")[1];
        var forged = $"{(state[0] == 'A' ? 'B' : 'A')}{state[1..]}";
        var cookie = begun.Headers.GetValues("Set-Cookie").Single().Split(';')[0].Split('=', 2);
        var cookies = "Cookie: " + string.Join("; ", Enumerable.Range(0, 30).Select(number => $"__Host-wix-install-{number:x16}={cookie[1][..^1]}A")) + "\r\n";
        var twins = "Cookie: " + string.Join("; ", Enumerable.Repeat($"{cookie[0]}={cookie[1][..^1]}A", 30)) + "\r\n";
        return
        [
            ("App URL", Get(service, "/api/install?token=abc"), 302),
            ("App URL, a token of 7,000 characters and 30 forged cookies", Get(service, $"/api/install?token={new string('t', 7_000)}", cookies), 302),
            ("App URL, a forged link", Get(service, $"/api/install?start={forged}"), 400),
            ("Redirect, a forged state and a code of 7,000 characters", Get(service, $"/api/redirect?code={new string('c', 7_000)}&state={forged}&instanceId={Id}"), 303),
            ("Redirect, a state of ours and 30 forged cookies", Get(service, $"/api/redirect?code=c&state={state}&instanceId={Id}", cookies), 303),
            ("Redirect, a state of ours and 30 forged cookies of its name", Get(service, $"/api/redirect?code=c&state={state}&instanceId={Id}", twins), 303),
            ("webhook that is no JWT", Post(service, "rubbish"), 400),
            ("webhook of 64 KiB that is no JWT", Post(service, new string('e', 64 * 1024)), 400),
            ("webhook that another key has signed", Post(service, Forge(Id)), 401),
            ("Health", Get(service, "/api/health"), (int)(await http.GetAsync(new Uri(service, "/api/health"), cancellationToken)).StatusCode),
            ("GetToken without a key", Get(service, $"/api/instances/{Id}/token"), 401),
            ("no such address", Get(service, "/.git/config"), 404),
        ];
    }

    // The same method, query, headers and body, to the only address there is.
    private static byte[] SendToRoot(byte[] request)
    {
        var path = request.AsSpan().IndexOf((byte)'/');
        var end = path + request.AsSpan(path).IndexOfAny((byte)'?', (byte)' ');
        return [.. request.AsSpan(0, path), (byte)'/', .. request.AsSpan(end)];
    }

    // Nothing here shows the function key: an attacker does not have it.
    private static byte[] Get(Uri service, string path, string headers = "") => Encoding.ASCII.GetBytes($"GET {path} HTTP/1.1\r\nHost: {service.Authority}\r\n{headers}\r\n");

    private static byte[] Post(Uri service, string body) => Encoding.ASCII.GetBytes(
        $"POST /api/webhooks HTTP/1.1\r\nHost: {service.Authority}\r\nContent-Type: text/plain\r\nContent-Length: {body.Length}\r\n\r\n{body}");

    private static string Forge(string instanceId)
    {
        using var key = RSA.Create(2048);
        var claims = $$"""{"data":"{\"data\":\"{}\",\"instanceId\":\"{{instanceId}}\",\"eventType\":\"AppRemoved\"}","iat":1700000000,"exp":4000000000}""";
        var signed = $"{Encode("""{"kid":"1","alg":"RS256"}""")}.{Encode(claims)}";
        return $"{signed}.{Base64Url.EncodeToString(key.SignData(Encoding.ASCII.GetBytes(signed), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1))}";

        static string Encode(string json) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(json));
    }
}

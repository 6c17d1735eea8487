// Started by run.mjs: measures one way of asking for tokens and prints what it saw as a line of JSON.
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Client;

var (way, url, key, seconds, callers) = (args[0], new Uri(args[1]), args[2], int.Parse(args[3], CultureInfo.InvariantCulture), int.Parse(args[4], CultureInfo.InvariantCulture));
var sites = args[5].Split(',').Select(Guid.Parse).ToArray();

var requests = 0L;
var services = new ServiceCollection();
services.AddWixOAuthClient(options => (options.Url, options.Key) = (url, key)).AddHttpMessageHandler(() => new CountingHandler(Count));
await using var provider = services.BuildServiceProvider();
var tokens = provider.GetRequiredService<IWixTokenClient>();
using var http = new HttpClient(new CountingHandler(Count) { InnerHandler = new SocketsHttpHandler() });

Func<Guid, ValueTask> ask = way == "client" ? async site => await tokens.GetTokenAsync(site) : AskPlainlyAsync;

// From cold, as for every other way: the first tokens count.
var end = Stopwatch.GetTimestamp() + (seconds * Stopwatch.Frequency);
var started = Stopwatch.GetTimestamp();
var all = await Task.WhenAll(Enumerable.Range(0, callers).Select(caller => Task.Run(() => CallAsync(caller))));
var took = Stopwatch.GetElapsedTime(started);
var times = all.SelectMany(each => each.Sample).Order().ToArray();
Console.WriteLine(JsonSerializer.Serialize(new
{
    tokens = all.Sum(each => each.Count),
    seconds = took.TotalSeconds,
    p50 = times[times.Length / 2],
    p99 = times[(int)(times.Length * 0.99)],
    requests,
}));

async Task<(long Count, List<double> Sample)> CallAsync(int caller)
{
    // Every 64th of the fast ones: all of them would be gigabytes.
    List<double> sample = [];
    long count = 0;
    for (var i = caller; Stopwatch.GetTimestamp() < end; i++)
    {
        var at = Stopwatch.GetTimestamp();
        await ask(sites[i % sites.Length]);
        if (count++ % (way == "client" ? 64 : 1) == 0)
        {
            sample.Add(Stopwatch.GetElapsedTime(at).TotalMilliseconds);
        }
    }

    return (count, sample);
}

async ValueTask AskPlainlyAsync(Guid site)
{
    using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(url, $"/api/instances/{site}/token"));
    request.Headers.Add("x-functions-key", key);
    using var response = await http.SendAsync(request);
    await response.EnsureSuccessStatusCode().Content.ReadAsByteArrayAsync();
}

void Count() => Interlocked.Increment(ref requests);

internal sealed class CountingHandler(Action count) : DelegatingHandler
{
    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        count();
        return base.SendAsync(request, cancellationToken);
    }
}

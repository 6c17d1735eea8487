using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using WixOAuth.Processes;

namespace WixOAuth.Crash;

/// <summary>
/// Changes that cause events: sites that are imported, cloned, removed, forgotten and revived, by whichever process
/// answers. A broken call is not repeated: what happened is read from the storage.
/// </summary>
internal sealed class Lives(Fleet fleet, FakeWix wix, IReadOnlyList<Guid> sites, double changesPerSecond) : IDisposable
{
    // Long before anything of the run, so that no removal is taken for an old one.
    private static readonly TimeSpan s_installedBefore = TimeSpan.FromDays(10);

    private readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false }) { Timeout = TimeSpan.FromSeconds(60) };
    private int _changes;

    public async Task RunAsync(CancellationToken stop)
    {
        await Task.WhenAll(sites.Select((site, number) => LiveAsync(site, isClone: number % 3 == 0, stop)));
    }

    public void Dispose() => _http.Dispose();

    private async Task LiveAsync(Guid site, bool isClone, CancellationToken stop)
    {
        for (var first = true; !stop.IsCancellationRequested; first = false)
        {
            var pause = TimeSpan.FromSeconds(-Math.Log(1 - Random.Shared.NextDouble()) * sites.Count / changesPerSecond);
            await Task.Delay(pause, TimeProvider.System, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (!stop.IsCancellationRequested)
            {
                await ChangeAsync(site, first && isClone ? 90 : Random.Shared.Next(100));
            }
        }
    }

    private async Task ChangeAsync(Guid site, int dice)
    {
        var now = Journal.Now;
        var longAgo = now - s_installedBefore + TimeSpan.FromSeconds(Interlocked.Increment(ref _changes));
        using var request = dice switch
        {
            < 45 => new HttpRequestMessage(HttpMethod.Put, $"/api/instances/{site}?revive=true")
            {
                Content = JsonContent.Create(new { refresh_token = wix.Install(new Site(site, Rotation.Same)), consented_at = longAgo }),
            },
            < 65 => new HttpRequestMessage(HttpMethod.Delete, $"/api/instances/{site}"),
            < 85 => Webhook(wix.SignWebhook("AppRemoved", site, now)),
            < 95 => Webhook(wix.SignWebhook("AppInstalled", site, longAgo)),
            _ => new HttpRequestMessage(HttpMethod.Get, $"/api/instances/{site}/token"),
        };
        request.Headers.Add("x-functions-key", Surroundings.FunctionKey);
        var node = await fleet.PickAsync();
        request.RequestUri = new Uri(node.Process.Url, request.RequestUri!);
        try
        {
            using var answer = await _http.SendAsync(request, CancellationToken.None);
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException or SocketException or OperationCanceledException)
        {
            // The process was killed, or the storage was away.
        }
    }

    private static HttpRequestMessage Webhook(string jwt) => new(HttpMethod.Post, "/api/webhooks")
    {
        Content = new StringContent(jwt, Encoding.UTF8, new MediaTypeHeaderValue("text/plain")),
    };
}

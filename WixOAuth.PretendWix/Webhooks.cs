using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;

namespace WixOAuth.PretendWix;

/// <summary>One attempt to deliver a webhook.</summary>
/// <param name="Number">Its number, from 1.</param>
/// <param name="EventType"><c>AppInstalled</c> or <c>AppRemoved</c>.</param>
/// <param name="InstanceId">The instance it is about.</param>
/// <param name="Jwt">What was posted.</param>
/// <param name="At">When, by the server's clock.</param>
/// <param name="Status">What was answered, if anything.</param>
/// <param name="Problem">Why nothing was.</param>
/// <param name="Took">How long the answer took, by the real clock; the real Wix waits for 1,250 ms.</param>
public sealed record PretendWixDelivery(
    int Number, string EventType, Guid InstanceId, string Jwt, DateTimeOffset At, int? Status, string? Problem, TimeSpan Took);

/// <summary>Signs webhooks and posts them one after the other (wix-protocol §10).</summary>
internal sealed class Webhooks(WixState wix, PretendWixOptions options, PretendWixControl control, ILogger logger) : IDisposable
{
    private const int RememberedDeliveries = 1_000;
    private static readonly TimeSpan _life = TimeSpan.FromDays(41);

    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false })
    {
        // Longer than Wix's 1,250 ms: on a busy laptop a slow answer is still an answer.
        Timeout = TimeSpan.FromSeconds(10),
    };

    private readonly Lock _gate = new();
    private readonly Queue<PretendWixDelivery> _deliveries = new();
    private readonly CancellationTokenSource _stopping = new();
    private Task _tail = Task.CompletedTask;
    private int _lastNumber;

    public IReadOnlyList<PretendWixDelivery> Deliveries
    {
        get
        {
            lock (_gate)
            {
                return [.. _deliveries];
            }
        }
    }

    public string PublicKeyPem => wix.WebhookKey.ExportSubjectPublicKeyInfoPem();

    /// <summary>Ends when nothing is under way.</summary>
    public Task SettledAsync(CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            return _tail.WaitAsync(cancellationToken);
        }
    }

    public string Sign(string eventType, Site site, DateTimeOffset? issuedAt)
    {
        var inner = new JsonObject { ["appId"] = options.AppId };
        if (eventType == "AppInstalled" && site.OriginInstanceId is { } origin)
        {
            inner["originInstanceId"] = origin.ToString();
        }

        var data = new JsonObject
        {
            ["data"] = inner.ToJsonString(PretendWixJson.Options),
            ["instanceId"] = site.InstanceId.ToString(),
            ["eventType"] = eventType,
        };
        if (control.Switches.NewerWebhooks)
        {
            data["identity"] = new JsonObject { ["identityType"] = "WIX_USER", ["wixUserId"] = site.SiteId.ToString() }.ToJsonString();
            data["id"] = Guid.NewGuid().ToString();
        }

        var issued = issuedAt ?? options.TimeProvider.GetUtcNow();
        var claims = new JsonObject
        {
            ["data"] = data.ToJsonString(PretendWixJson.Options),
            ["iat"] = issued.ToUnixTimeSeconds(),
            ["exp"] = (issued + _life).ToUnixTimeSeconds(),
        };
        var signed = $"{Base64Url("""{"kid":"pR3t3nDw","alg":"RS256"}""")}.{Base64Url(claims.ToJsonString(PretendWixJson.Options))}";
        var key = wix.WebhookKey;
        lock (key)
        {
            var signature = key.SignData(Encoding.UTF8.GetBytes(signed), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
            return $"{signed}.{System.Buffers.Text.Base64Url.EncodeToString(signature)}";
        }
    }

    /// <summary>Posts in the background, after all that was posted before: by itself, nothing overtakes.</summary>
    public void Post(string eventType, Site site, Uri url, DateTimeOffset? issuedAt = null)
    {
        // The time of the event, not of its turn.
        var at = issuedAt ?? options.TimeProvider.GetUtcNow();
        Enqueue(() => PostAsync(eventType, site.InstanceId, Sign(eventType, site, at), url));
    }

    /// <summary>Posts the same text once more.</summary>
    public bool Replay(int number, Uri url)
    {
        if (Deliveries.FirstOrDefault(delivery => delivery.Number == number) is not { } first)
        {
            return false;
        }

        Enqueue(() => PostAsync(first.EventType, first.InstanceId, first.Jwt, url));
        return true;
    }

    public void Clear()
    {
        lock (_gate)
        {
            _deliveries.Clear();
        }
    }

    public void Dispose()
    {
        _stopping.Cancel();
        _http.Dispose();
        _stopping.Dispose();
    }

    private static string Base64Url(string text) => System.Buffers.Text.Base64Url.EncodeToString(Encoding.UTF8.GetBytes(text));

    private void Enqueue(Func<Task> post)
    {
        lock (_gate)
        {
            _tail = AfterAsync(_tail, post);
        }
    }

    private static async Task AfterAsync(Task before, Func<Task> post)
    {
        await before.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        await post();
    }

    private async Task PostAsync(string eventType, Guid instanceId, string jwt, Uri url)
    {
        if (_stopping.IsCancellationRequested)
        {
            return;
        }

        var started = TimeProvider.System.GetTimestamp();
        int? status = null;
        string? problem = null;
        try
        {
            using var content = new StringContent(jwt, Encoding.UTF8, new MediaTypeHeaderValue("text/plain"));
            using var response = await _http.PostAsync(url, content, _stopping.Token);
            status = (int)response.StatusCode;
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException or ObjectDisposedException)
        {
            problem = e is HttpRequestException { HttpRequestError: var error } ? error.ToString() : "no answer";
        }

        lock (_gate)
        {
            _deliveries.Enqueue(new(
                ++_lastNumber,
                eventType,
                instanceId,
                jwt,
                options.TimeProvider.GetUtcNow(),
                status,
                problem,
                TimeProvider.System.GetElapsedTime(started)));
            if (_deliveries.Count > RememberedDeliveries)
            {
                _deliveries.Dequeue();
            }
        }

        PretendWixLog.WebhookPosted(logger, eventType, instanceId, status, problem);
    }
}

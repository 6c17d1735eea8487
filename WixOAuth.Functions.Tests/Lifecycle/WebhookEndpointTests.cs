using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Hosting;
using WixOAuth.Http;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Lifecycle;

/// <summary>Webhooks that Wix has signed, and what may be in them.</summary>
public sealed class WebhookEndpointTests : IDisposable
{
    private const string AppId = "11111111-2222-4333-8444-555555555555";
    private static readonly Guid Id = Guid.NewGuid();
    private static readonly CancellationToken None = CancellationToken.None;

    private readonly WebhookSigner _signer = new();
    private readonly WatchedStore _store = new(new MemoryInstanceStore());
    private readonly Core _core;
    private readonly WebhookEndpoint _endpoint;

    public WebhookEndpointTests()
    {
        _core = new Core(_store, settings: ("Wix__WebhookPublicKey", _signer.Pem));
        _endpoint = _core.Webhooks;
    }

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task However_many_are_refused_the_log_has_a_line_a_minute()
    {
        const int Refused = 603;
        for (var i = 0; i < 5; i++)
        {
            Assert.Equal(400, await PostAsync("no JWT"));
        }

        Assert.Single(_core.Logs.Of(Refused));
        _core.Clock.Advance(LogThrottle.Interval);
        await PostAsync("no JWT");
        await PostAsync("no JWT");
        Assert.Equal(2, _core.Logs.Of(Refused).Count);
    }

    /// <summary>Changes of the claims, and whether the event is still applied; if not, the response.</summary>
    public static TheoryData<string, int, bool> Payloads => new()
    {
        // Nested as objects in place of texts, with members that newer ones have, and numbers as texts.
        { """{"data":{"data":{"appId":"11111111-2222-4333-8444-555555555555"},"instanceId":"ID","eventType":"AppRemoved"}}""", 200, true },
        { """{"data":"{\"data\":\"{}\",\"instanceId\":\"ID\",\"eventType\":\"AppRemoved\",\"identity\":\"{\\\"identityType\\\":\\\"WIX_USER\\\"}\",\"id\":\"x\"}"}""", 200, true },
        { """{"data":{"data":"not JSON","instanceId":"ID","eventType":"AppRemoved"}}""", 200, true },
        { """{"data":{"data":null,"instanceId":"ID","eventType":"AppRemoved"}}""", 200, true },
        { """{"data":{"instanceId":"ID","eventType":"AppRemoved"},"iat":"IAT","exp":"EXP"}""", 200, true },

        // Not for us.
        { """{"data":{"data":{"appId":"<script>alert(1)</script>"},"instanceId":"ID","eventType":"AppRemoved"}}""", 200, false },
        { """{"data":{"instanceId":"ID","eventType":"AppRemoved\u0000"}}""", 200, false },
        { """{"data":{"instanceId":"ID","eventType":["AppRemoved"]}}""", 200, false },
        { """{"data":{"instanceId":"ID","eventType":"appremoved"}}""", 200, false },
        { """{"data":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}""", 200, false },
        { """{"data":null}""", 200, false },
        { """{"data":"\ud800"}""", 200, false },

        // For us, but of no use.
        { """{"data":{"instanceId":"ID|s","eventType":"AppRemoved"}}""", 400, false },
        { """{"data":{"instanceId":"' or PartitionKey ge '","eventType":"AppRemoved"}}""", 400, false },
        { """{"data":{"instanceId":["ID"],"eventType":"AppRemoved"}}""", 400, false },
        { """{"data":{"eventType":"AppRemoved"}}""", 400, false },
        { """{"data":{"instanceId":"ID","eventType":"AppRemoved"},"iat":-1}""", 400, false },
        { """{"data":{"instanceId":"ID","eventType":"AppRemoved"},"iat":null}""", 400, false },
        { """{"data":{"instanceId":"ID","eventType":"AppRemoved"},"iat":1e300}""", 400, false },
        { """{"data":{"instanceId":"ID","eventType":"AppRemoved"},"iat":"NaN"}""", 400, false },
        { """{"data":{"instanceId":"ID","eventType":"AppRemoved"},"iat":{}}""", 400, false },

        // Over, or without an end.
        { """{"exp":1}""", 401, false },
        { """{"exp":null}""", 401, false },
        { """{"exp":"Infinity"}""", 401, false },
    };

    [Theory]
    [MemberData(nameof(Payloads))]
    public async Task Signed_webhooks_are_parsed_leniently_and_not_trusted_further(string change, int status, bool isApplied)
    {
        var now = _core.Clock.GetUtcNow();
        var claims = WebhookSigner.ClaimsOf("AppRemoved", Id, now, AppId);
        change = change.Replace("ID", Id.ToString(), StringComparison.Ordinal)
            .Replace("EXP", $"{now.AddDays(41).ToUnixTimeSeconds()}", StringComparison.Ordinal)
            .Replace("IAT", $"{now.ToUnixTimeSeconds()}", StringComparison.Ordinal);

        // A lone surrogate would not survive being read and written.
        var jwt = change.Contains("""\ud800""", StringComparison.Ordinal)
            ? _signer.SignText($$"""{"iat":{{now.ToUnixTimeSeconds()}},"exp":{{now.AddDays(41).ToUnixTimeSeconds()}},{{change[1..]}}""")
            : _signer.SignClaims(Merge(claims, JsonNode.Parse(change)!.AsObject()));

        Assert.Equal(status, await PostAsync(jwt));

        Assert.Equal(isApplied, await _store.FindAsync(new InstanceId(Id), None) is { Instance.Status: InstanceStatus.Removed });
        Assert.Equal(isApplied ? 1 : 0, _store.CallsTo(nameof(IInstanceStore.TryWriteAsync)));
    }

    [Theory]
    [InlineData("""{"alg":"RS256","crit":["b64"],"b64":false}""")]
    [InlineData("""{"alg":"RS384"}""")]
    [InlineData("""{"alg":"PS256"}""")]
    [InlineData("""{"alg":"rs256"}""")]
    [InlineData("""{"alg":["RS256"]}""")]
    [InlineData("""{}""")]
    public async Task Another_algorithm_in_the_header_is_refused_though_the_signature_is_Wixs(string header)
    {
        var jwt = _signer.SignClaims(WebhookSigner.ClaimsOf("AppRemoved", Id, _core.Clock.GetUtcNow(), AppId), header);

        Assert.Equal(401, await PostAsync(jwt));

        Assert.Empty(_store.Calls);
    }

    [Fact]
    public async Task A_slow_storage_is_answered_before_Wix_times_out_and_the_event_is_still_applied()
    {
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _store.Before = (method, _) => method == nameof(IInstanceStore.TryWriteAsync) ? goOn.Task : Task.CompletedTask;
        var jwt = _signer.Sign("AppRemoved", Id, _core.Clock.GetUtcNow(), AppId);

        Assert.True(WebhookEndpoint.LongestAnswer < TimeSpan.FromMilliseconds(1_250));
        Assert.Equal(503, await _core.RunAsync(() => PostAsync(jwt)));

        goOn.SetResult();
        await _core.Background.WhenIdleAsync(None);
        Assert.Equal(InstanceStatus.Removed, (await _core.ReadAsync(new InstanceId(Id))).Status);
        Assert.Equal(200, await PostAsync(jwt));
    }

    [Fact]
    public async Task A_storage_that_fails_has_Wix_deliver_again()
    {
        var fails = true;
        _store.Before = (_, _) => fails ? throw new StorageUnavailableException("The storage is down.") : Task.CompletedTask;
        var jwt = _signer.Sign("AppRemoved", Id, _core.Clock.GetUtcNow(), AppId);

        Assert.Equal(503, await PostAsync(jwt));
        fails = false;
        Assert.Equal(200, await PostAsync(jwt));

        Assert.Equal(InstanceStatus.Removed, (await _core.ReadAsync(new InstanceId(Id))).Status);
    }

    [Theory]
    [InlineData("AppInstalled")]
    [InlineData("AppRemoved")]
    public async Task Wix_is_answered_without_being_asked_and_for_one_read_and_one_write(string eventType)
    {
        await _core.InstallAsync(new InstanceId(Id));
        _store.Calls.Clear();

        Assert.Equal(200, await PostAsync(_signer.Sign(eventType, Id, _core.Clock.GetUtcNow(), AppId)));

        Assert.Equal(["FindAsync", "TryWriteAsync"], _store.Calls.Select(call => call.Method));
        Assert.Empty(_core.Wix.Calls);
    }

    private static JsonObject Merge(JsonObject claims, JsonObject change)
    {
        foreach (var (name, value) in change)
        {
            claims[name] = value?.DeepClone();
        }

        return claims;
    }

    private async Task<int> PostAsync(string jwt)
    {
        var context = new DefaultHttpContext
        {
            RequestServices = new ServiceCollection().AddLogging().BuildServiceProvider(),
            Request = { Method = "POST", Body = new MemoryStream(Encoding.ASCII.GetBytes(jwt)) },
        };
        await (await _endpoint.WixWebhook(context.Request, None)).ExecuteAsync(context);
        return context.Response.StatusCode;
    }
}

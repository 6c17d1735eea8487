using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Azure.Data.Tables;
using WixOAuth.PretendWix;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>
/// The life of a few sites from their install to their end, over HTTP, with webhooks: after each step GetInstance and
/// the operators' page have to tell what is so at Wix.
/// </summary>
[Collection(AzuriteFixture.Name)]
public sealed class WholeLifeTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private const string Café = "Ann's Café";
    private TestBed _bed = null!;

    public async Task InitializeAsync() => _bed = await TestBed.StartWithWebhooksAsync(azurite, ("Wix__SetupCompletion", "ByApp"));

    public async Task DisposeAsync() => await _bed.DisposeAsync();

    [Fact]
    public async Task From_the_first_install_to_the_last_removal()
    {
        // Installed by a link for a customer, and set up when our app says so.
        var site = _bed.Wix.CreateSite(Café).InstanceId;
        await ConsentAsync(site, customer: "Customer no. 42");
        var installed = await AssertActiveAsync(site, Café, "refresh_token", isSetUp: false);
        Assert.Equal(("Customer no. 42", "1.0.0"), (Text(installed, "customer"), Text(installed, "app_version")));

        _bed.Clock.Advance(TimeSpan.FromSeconds(40));
        Assert.Equal(HttpStatusCode.NoContent, (await _bed.CallAsync(HttpMethod.Post, $"instances/{site}/setup")).StatusCode);
        var setUp = await AssertActiveAsync(site, Café, "refresh_token", isSetUp: true);
        Assert.Equal(Generation(installed), Generation(setUp));

        // Refreshed three times: by the timer, by a caller, by an operator.
        var last = setUp;
        foreach (var refresh in new Func<Task>[]
        {
            _bed.SweepAsync,
            () => _bed.GetTokenAsync(site),
            () => _bed.CallAsync(HttpMethod.Post, $"instances/{site}/refresh"),
        })
        {
            _bed.Clock.Advance(TimeSpan.FromMinutes(5.5));
            await refresh();
            var refreshed = await AssertActiveAsync(site, Café, "refresh_token", isSetUp: true);
            Assert.Equal(Generation(last) + 1, Generation(refreshed));
            Assert.True(Time(refreshed.GetProperty("token"), "refreshed_at") > Time(last.GetProperty("token"), "refreshed_at"));
            last = refreshed;
        }

        // Upgraded by a new consent: customer, history and set-up stay.
        _bed.Clock.Advance(TimeSpan.FromMinutes(5));
        await ConsentAsync(site);
        var upgraded = await AssertActiveAsync(site, Café, "refresh_token", isSetUp: true);
        Assert.Equal(Generation(last) + 1, Generation(upgraded));
        Assert.Equal(("Customer no. 42", "2.0.0"), (Text(upgraded, "customer"), Text(upgraded, "app_version")));
        Assert.Equal(Time(installed, "installed_at"), Time(upgraded, "installed_at"));
        Assert.Equal(Time(setUp, "setup_completed_at"), Time(upgraded, "setup_completed_at"));

        // Cloned: known from a webhook only, and served by the app's own credentials.
        var clone = _bed.Wix.Clone(site).InstanceId;
        await WebhooksAsync();
        await AssertStateAsync(clone, "active", "client_credentials", isSetUp: false);
        await AssertRowAsync(clone, "Site without a name", "active", "Set-up not completed");
        await _bed.SweepAsync();
        var cloned = await AssertActiveAsync(clone, $"Copy of {Café}", "client_credentials", isSetUp: false);
        Assert.Null(Text(cloned, "customer"));
        Assert.Equal(HttpStatusCode.NoContent, (await _bed.CallAsync(HttpMethod.Post, $"instances/{clone}/setup")).StatusCode);
        await AssertActiveAsync(clone, $"Copy of {Café}", "client_credentials", isSetUp: true);
        Assert.Equal(0, _bed.Wix.Control.CountsOf(clone).Grants["refresh_token"]);

        // A dead refresh token is healed by the app's own credentials.
        var healed = _bed.Wix.CreateSite("Bob's Bikes").InstanceId;
        await ConsentAsync(healed);
        _bed.Wix.Control.RejectRefreshToken(healed);
        _bed.Clock.Advance(TimeSpan.FromMinutes(6));
        await AssertActiveAsync(healed, "Bob's Bikes", "client_credentials", isSetUp: false);

        // Removed, long after the upgrade, while a refresh is in flight: one that Wix has granted already, and one that it
        // refuses then.
        _bed.Clock.Advance(TimeSpan.FromDays(3));
        var blobs = await BlobsOfAsync(site);
        blobs.UnionWith(await BlobsOfAsync(healed));
        Assert.Equal(4, blobs.Count);
        await RemoveDuringRefreshAsync(site, (control, gate) => control.GateAfter = gate, PretendWixEndpoints.Access);
        await AssertRemovedAsync(site, blobs);
        await RemoveDuringRefreshAsync(healed, (control, gate) => control.Gate = gate, PretendWixEndpoints.Token);
        await AssertRemovedAsync(healed, blobs);
        _bed.Clock.Advance(TimeSpan.FromMinutes(2));
        await _bed.SweepAsync();
        await AssertTilesAsync(active: 1, removed: 2);

        // Installed again: a new set-up, and no customer, because the site may have another owner.
        _bed.Clock.Advance(TimeSpan.FromHours(1));
        await ConsentAsync(site);
        var reinstalled = await AssertActiveAsync(site, Café, "refresh_token", isSetUp: false);
        Assert.Null(Text(reinstalled, "customer"));
        Assert.Equal(Time(installed, "installed_at"), Time(reinstalled, "installed_at"));
        Assert.True(Generation(reinstalled) > Generation(upgraded) + 1);

        // Wix repeats the event of the earlier installation, signed again: the site stays.
        foreach (var old in Latest().Where(delivery => delivery.InstanceId == site))
        {
            Assert.Equal(200, old.Status);
            Assert.True(_bed.Wix.ReplayWebhook(old.Number));
        }

        await WebhooksAsync();
        var again = await AssertActiveAsync(site, Café, "refresh_token", isSetUp: false);
        Assert.Equal(Generation(reinstalled), Generation(again));
        _bed.Clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(HttpStatusCode.OK, (await _bed.PostWebhookAsync(_bed.Wix.SignWebhook("AppRemoved", site))).StatusCode);
        await _bed.SweepAsync();
        await AssertActiveAsync(site, Café, "refresh_token", isSetUp: false);

        // Forgotten by an operator: no webhook brings it back.
        blobs.UnionWith(await BlobsOfAsync(clone));
        Assert.Equal(HttpStatusCode.NoContent, (await _bed.CallAsync(HttpMethod.Delete, $"instances/{clone}")).StatusCode);
        _bed.Clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(HttpStatusCode.OK, (await _bed.PostWebhookAsync(_bed.Wix.SignWebhook("AppInstalled", clone))).StatusCode);
        await AssertRemovedAsync(clone, blobs, "Forgotten");

        // And the last removal: so soon after the reinstall that it might be the old one, so that it needs the full proof.
        blobs.UnionWith(await BlobsOfAsync(site));
        _bed.Wix.Remove(site);
        await WebhooksAsync();
        await AssertStateAsync(site, "active", "refresh_token", isSetUp: false);
        for (var turn = 0; turn < 8; turn++)
        {
            // One site is too few to ask whether the app secret works, so that only time proves the removal.
            _bed.Clock.Advance(TimeSpan.FromHours(7));
            await _bed.SweepAsync();
        }

        await AssertRemovedAsync(site, blobs);
        await AssertTilesAsync(active: 0, removed: 3);
        await AssertNothingIsLeftAsync(blobs);
    }

    /// <summary>Walks a consent; Wix's webhook comes before the redirect.</summary>
    private async Task ConsentAsync(Guid instanceId, string? customer = null)
    {
        using var browser = new TestBrowser();
        if (customer is not null)
        {
            await browser.ConfirmAsync(await _bed.CreateLinkAsync(customer));
        }

        var redirect = await _bed.WalkToRedirectAsync(browser, instanceId);
        await WebhooksAsync();
        Assert.Equal("/installer/close-window", TestBrowser.LocationOf(await browser.GetAsync(redirect)).AbsolutePath);
        await _bed.SettleAsync();
    }

    /// <summary>Waits for Wix's webhooks. One that was not answered, or with 503 as a busy machine does after a second, is sent again, as Wix does.</summary>
    private async Task WebhooksAsync()
    {
        await _bed.Wix.WebhooksSettledAsync(CancellationToken.None);
        for (var tries = 0; tries < 20; tries++)
        {
            foreach (var late in Latest().Where(delivery => delivery.Status is 503 or null))
            {
                Assert.True(_bed.Wix.ReplayWebhook(late.Number));
            }

            await _bed.Wix.WebhooksSettledAsync(CancellationToken.None);
        }

        Assert.All(Latest(), delivery => Assert.Equal(200, delivery.Status));
    }

    /// <summary>The last attempt to deliver each webhook.</summary>
    private List<PretendWixDelivery> Latest() => [.. _bed.Wix.Deliveries.GroupBy(delivery => delivery.Jwt).Select(attempts => attempts.Last())];

    private async Task RemoveDuringRefreshAsync(
        Guid instanceId, Action<PretendWixControl, Func<string, CancellationToken, Task>?> setGate, string endpoint)
    {
        var (reached, goOn) = (NewSignal(), NewSignal());
        setGate(_bed.Wix.Control, (name, _) =>
        {
            if (name != endpoint)
            {
                return Task.CompletedTask;
            }

            reached.TrySetResult();
            return goOn.Task;
        });
        var refresh = _bed.CallAsync(HttpMethod.Post, $"instances/{instanceId}/refresh");
        await reached.Task;
        _bed.Clock.Advance(TimeSpan.FromSeconds(2));
        _bed.Wix.Remove(instanceId);
        await WebhooksAsync();
        await AssertStateAsync(instanceId, "removed", grant: null, isSetUp: false);

        setGate(_bed.Wix.Control, null);
        goOn.SetResult();

        await TestBed.AssertProblemAsync(await refresh, 410, "app_removed");
    }

    /// <summary>Active at Wix too, and the token that GetToken answers is this site's.</summary>
    private async Task<JsonElement> AssertActiveAsync(Guid instanceId, string name, string grant, bool isSetUp)
    {
        var answer = await TestBed.ReadJsonAsync(await _bed.GetTokenAsync(instanceId));
        Assert.Equal(instanceId.ToString(), await OwnerOfAsync(answer.GetProperty("access_token").GetString()!));
        var atWix = _bed.Wix.GetSite(instanceId);
        Assert.Equal((PretendSiteStatus.Installed, isSetUp), (atWix.Status, atWix.SetupComplete));

        var instance = await AssertStateAsync(instanceId, "active", grant, isSetUp);
        var site = instance.GetProperty("site");
        Assert.Equal((name, atWix.Url, atWix.SiteId), (site.GetProperty("name").GetString(), new Uri(site.GetProperty("url").GetString()!), site.GetProperty("id").GetGuid()));
        var token = instance.GetProperty("token");
        Assert.Equal(0, token.GetProperty("failures").GetInt32());
        Assert.Equal(Time(answer, "expires_on"), Time(token, "expires_on"), TimeSpan.FromSeconds(1));

        var row = await AssertRowAsync(instanceId, name, "active", isSetUp ? "" : "Set-up not completed");
        Assert.Equal(isSetUp, !row.Contains("Complete set-up", StringComparison.Ordinal));
        Assert.DoesNotContain("failing", row, StringComparison.Ordinal);
        return instance;
    }

    private async Task AssertRemovedAsync(Guid instanceId, HashSet<string> blobs, string said = "Removed")
    {
        await TestBed.AssertProblemAsync(await _bed.GetTokenAsync(instanceId), 410, "app_removed");
        var instance = await AssertStateAsync(instanceId, "removed", grant: null, isSetUp: false);
        Assert.All(["customer", "site", "app_version"], name => Assert.Equal(JsonValueKind.Null, instance.GetProperty(name).ValueKind));
        Assert.Equal(JsonValueKind.Null, instance.GetProperty("token").GetProperty("expires_on").ValueKind);
        var row = await AssertRowAsync(instanceId, "Site without a name", "removed", $"{said} ");
        Assert.DoesNotContain("<button", row, StringComparison.Ordinal);

        // One row to remember it by, its place in the status index, and when it was last used.
        Assert.Empty((await _bed.RowsOfAsync(instanceId)).Select(stored => stored.RowKey).Except([$"i|{instanceId}", $"s|removed|{instanceId}", $"u|{instanceId}"]));
        Assert.Empty(await BlobsOfAsync(instanceId));
        Assert.All(await _bed.RowsOfAsync(instanceId), stored => Assert.DoesNotContain(stored.Keys, key => key.StartsWith("Site", StringComparison.Ordinal) || key is "Customer" or "AppVersion"));
        await AssertNothingIsLeftAsync(blobs, instanceId);
    }

    private async Task<JsonElement> AssertStateAsync(Guid instanceId, string status, string? grant, bool isSetUp)
    {
        var instance = await _bed.GetInstanceAsync(instanceId);
        Assert.Equal(instanceId.ToString(), Text(instance, "instance_id"));
        Assert.Equal((status, grant ?? Text(instance, "grant")), (Text(instance, "status"), Text(instance, "grant")));
        Assert.Equal(isSetUp, instance.GetProperty("setup_completed_at").ValueKind == JsonValueKind.String);
        var text = instance.GetRawText();
        Assert.DoesNotContain(_bed.Wix.Control.IssuedSecrets, secret => text.Contains(secret, StringComparison.Ordinal));
        return instance;
    }

    private async Task<string> AssertRowAsync(Guid instanceId, string name, string status, string says)
    {
        var page = await PageAsync($"?search={instanceId}");
        Assert.Contains("1 instance<", page, StringComparison.Ordinal);
        var row = WebUtility.HtmlDecode(Regex.Match(page, """<ul class="list">(.*?)</ul>""", RegexOptions.Singleline).Groups[1].Value);
        Assert.Contains(name, row, StringComparison.Ordinal);
        Assert.Contains($"""<span class="pill {status}">""", row, StringComparison.Ordinal);
        Assert.Contains(says, row, StringComparison.Ordinal);
        return row;
    }

    private async Task AssertTilesAsync(int active, int removed)
    {
        // They are counted at most every half minute.
        _bed.Clock.Advance(TimeSpan.FromSeconds(31));
        var page = await PageAsync("");
        Assert.Contains($"<b>{active}</b>active<", page, StringComparison.Ordinal);
        Assert.Contains("<b>0</b>active, last refresh failed", page, StringComparison.Ordinal);
        Assert.Contains("<b>0</b>reinstall required", page, StringComparison.Ordinal);
        Assert.Contains($"<b>{removed}</b>removed", page, StringComparison.Ordinal);
    }

    /// <summary>None of these ciphertexts, but for those of instances that are not <paramref name="of"/>, and no token in plain.</summary>
    private async Task AssertNothingIsLeftAsync(HashSet<string> blobs, Guid? of = null)
    {
        var rows = await _bed.RowsAsync();
        var left = rows.Where(row => of is null || row.RowKey.EndsWith($"|{of}", StringComparison.Ordinal)).SelectMany(BlobsOf).ToList();
        Assert.Empty(left.Intersect(blobs));
        if (of is null)
        {
            Assert.Empty(left);
        }

        var text = string.Join('\n', rows.SelectMany(ValuesOf).Select(value => value is byte[] bytes ? Encoding.Latin1.GetString(bytes) : $"{value}"));
        Assert.DoesNotContain(_bed.Wix.Control.IssuedSecrets, secret => text.Contains(secret, StringComparison.Ordinal));
    }

    private async Task<HashSet<string>> BlobsOfAsync(Guid instanceId) => [.. (await _bed.RowsOfAsync(instanceId)).SelectMany(BlobsOf)];

    private static IEnumerable<string> BlobsOf(TableEntity row) => ValuesOf(row).OfType<byte[]>().Select(Convert.ToHexString);

    private static IEnumerable<object?> ValuesOf(TableEntity row) => ((IDictionary<string, object?>)row).Values;

    private async Task<string?> OwnerOfAsync(string accessToken)
    {
        using var http = new HttpClient();
        using var answer = await http.PostAsJsonAsync(new Uri(_bed.Wix.ApiUrl, "/oauth2/token-info"), new { token = accessToken });
        var info = await TestBed.ReadJsonAsync(answer);
        Assert.Equal("true", Text(info, "active"));
        return Text(info, "instanceId");
    }

    private async Task<string> PageAsync(string query)
    {
        using var answer = await _bed.CallAsync(HttpMethod.Get, $"status/view{query}");
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return await answer.Content.ReadAsStringAsync();
    }

    private static long Generation(JsonElement instance) => instance.GetProperty("token").GetProperty("generation").GetInt64();

    private static string? Text(JsonElement element, string name) => element.GetProperty(name).GetString();

    private static DateTimeOffset Time(JsonElement element, string name) => element.GetProperty(name).GetDateTimeOffset();

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}

using System.Net;
using StandardWebhooks;
using WixOAuth.PretendWix;

namespace WixOAuth.Functions.Tests.PretendWix;

/// <summary>The receiver of events that the pretend Wix plays, posted to by a third-party library of Standard Webhooks.</summary>
public sealed class ReceiverTests : IAsyncLifetime
{
    private const string Secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
    private const string Next = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false });
    private PretendWixServer _wix = null!;

    public async Task InitializeAsync() => _wix = await StartAsync(Secret);

    public async Task DisposeAsync()
    {
        _http.Dispose();
        await _wix.DisposeAsync();
    }

    [Fact]
    public async Task A_signed_event_is_verified_and_shown_with_the_name_of_its_site()
    {
        var site = _wix.CreateSite("Ann's <b>Café</b>");

        Assert.Equal(HttpStatusCode.NoContent, await PostAsync("e-1", Body(site.InstanceId)));

        var received = Assert.Single(_wix.Events);
        Assert.Equal(("e-1", "instance.connected", site.InstanceId, null, false, 204), (received.Id, received.Type, received.InstanceId!.Value, received.Problem, received.IsRepeated, received.Status));
        var list = await ListAsync($"?instance={site.InstanceId}");
        Assert.Contains("instance.connected<span class=\"of\">Ann&#x27;s &lt;b&gt;Café&lt;/b&gt;</span>", list, StringComparison.Ordinal);
        Assert.Contains("verified", list, StringComparison.Ordinal);
        Assert.Contains("None yet", await ListAsync($"?instance={Guid.NewGuid()}"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_repeated_event_is_recognized_by_its_id()
    {
        foreach (var id in new[] { "e-1", "e-1", "e-2" })
        {
            await PostAsync(id, Body(Guid.NewGuid()));
        }

        Assert.Equal([false, true, false], _wix.Events.Select(each => each.IsRepeated));
    }

    [Theory]
    [InlineData("another secret", "wrong signature")]
    [InlineData("another body", "wrong signature")]
    [InlineData("old", "too old, or from the future")]
    [InlineData("early", "too old, or from the future")]
    [InlineData("unsigned", "not signed")]
    public async Task An_unverifiable_event_is_refused_with_a_reason(string how, string problem)
    {
        var at = TimeProvider.System.GetUtcNow() + how switch { "old" => TimeSpan.FromMinutes(-6), "early" => TimeSpan.FromMinutes(6), _ => TimeSpan.Zero };
        using var request = NewRequest("e-1", Body(Guid.NewGuid()), at, how == "another secret" ? Next : Secret);
        if (how == "another body")
        {
            request.Content = new StringContent(Body(Guid.NewGuid()));
        }
        else if (how == "unsigned")
        {
            request.Headers.Remove("webhook-signature");
        }

        using var answer = await _http.SendAsync(request);

        Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        Assert.Equal(problem, Assert.Single(_wix.Events).Problem);
        Assert.DoesNotContain("pill ok", await ListAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Either_secret_is_accepted_while_they_rotate()
    {
        await using var rotating = await StartAsync($"{Secret} {Next}");
        foreach (var secret in new[] { Secret, Next })
        {
            using var request = NewRequest("e-1", Body(Guid.NewGuid()), TimeProvider.System.GetUtcNow(), secret, rotating.EventsUrl);
            using var answer = await _http.SendAsync(request);
            Assert.Equal(HttpStatusCode.NoContent, answer.StatusCode);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{\"type\":5,\"subject\":\"x\"}")]
    [InlineData("{\"type\":\"<script>alert(1)</script>\",\"subject\":\"x\"}")]
    public async Task A_body_that_is_not_an_event_is_shown_as_text(string body)
    {
        Assert.Equal(HttpStatusCode.NoContent, await PostAsync("e-1", body));

        Assert.Null(Assert.Single(_wix.Events).InstanceId);
        Assert.DoesNotContain("<script", await ListAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_receiver_can_be_told_to_fail()
    {
        Assert.Equal(HttpStatusCode.SeeOther, await PressAsync("trouble/receiver-down"));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, await PostAsync("e-1", Body(Guid.NewGuid())));
        Assert.Equal(HttpStatusCode.SeeOther, await PressAsync("trouble/receiver-gone"));
        Assert.Equal(HttpStatusCode.Gone, await PostAsync("e-1", Body(Guid.NewGuid())));
        Assert.Equal(HttpStatusCode.SeeOther, await PressAsync("trouble/none"));
        Assert.Equal(HttpStatusCode.NoContent, await PostAsync("e-1", Body(Guid.NewGuid())));

        // What was refused was not received before.
        Assert.DoesNotContain(_wix.Events, each => each.IsRepeated);
    }

    [Theory]
    [InlineData("down", 503)]
    [InlineData("throttled", 429)]
    [InlineData("silent", 0)]
    [InlineData("secret", 403)]
    public async Task A_trouble_lasts_from_its_button_to_the_end(string trouble, int status)
    {
        var refreshToken = _wix.Seed(1)[0].RefreshToken;
        Assert.Equal(200, await RefreshAsync());

        await PressAsync($"trouble/{trouble}");
        Assert.Equal(status, await RefreshAsync());
        Assert.DoesNotContain("All is well", await TroubleAsync(), StringComparison.Ordinal);

        await PressAsync("trouble/none");
        Assert.Equal(200, await RefreshAsync());
        Assert.Contains("All is well", await TroubleAsync(), StringComparison.Ordinal);

        Task<string> TroubleAsync() => _http.GetStringAsync(new Uri(_wix.Url, "trouble"));

        async Task<int> RefreshAsync()
        {
            try
            {
                using var answer = await _http.PostAsync(
                    new Uri(_wix.ApiUrl, "oauth/access"),
                    System.Net.Http.Json.JsonContent.Create(new { grant_type = "refresh_token", client_id = "app", client_secret = "the-secret", refresh_token = refreshToken }));
                return (int)answer.StatusCode;
            }
            catch (HttpRequestException)
            {
                return 0;
            }
        }
    }

    [Fact]
    public async Task Another_page_cannot_press_the_buttons()
    {
        Assert.Equal(HttpStatusCode.Forbidden, await PressAsync("trouble/down", from: "cross-site"));
        Assert.Equal(HttpStatusCode.Forbidden, await PressAsync("trouble/down", from: null));
        Assert.Equal(HttpStatusCode.NotFound, await PressAsync("trouble/unknown"));
        Assert.Equal(HttpStatusCode.NotFound, await PressAsync($"sites/{Guid.NewGuid()}/reject"));
    }

    [Fact]
    public async Task Without_a_secret_there_is_no_receiver()
    {
        await using var wix = await StartAsync(null);

        Assert.Null(wix.EventsUrl);
        using var answer = await _http.PostAsync(new Uri(wix.Url, "events"), null);
        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
        Assert.DoesNotContain("Events that your app received", await _http.GetStringAsync(wix.Url), StringComparison.Ordinal);
    }

    private static Task<PretendWixServer> StartAsync(string? secret) =>
        PretendWixServer.StartAsync(new PretendWixOptions { AppId = "app", AppSecret = "the-secret", EventsSecret = secret }, CancellationToken.None);

    private static string Body(Guid instanceId) => $$"""{"specversion":"1.0","id":"e-1","type":"instance.connected","subject":"{{instanceId}}"}""";

    private HttpRequestMessage NewRequest(string id, string body, DateTimeOffset at, string secret, Uri? url = null) => new(HttpMethod.Post, url ?? _wix.EventsUrl)
    {
        Content = new StringContent(body),
        Headers =
        {
            { "webhook-id", id },
            { "webhook-timestamp", at.ToUnixTimeSeconds().ToString(System.Globalization.CultureInfo.InvariantCulture) },
            { "webhook-signature", new StandardWebhook(secret).Sign(id, at, body) },
        },
    };

    private async Task<HttpStatusCode> PostAsync(string id, string body)
    {
        using var request = NewRequest(id, body, TimeProvider.System.GetUtcNow(), Secret);
        using var answer = await _http.SendAsync(request);
        return answer.StatusCode;
    }

    private async Task<HttpStatusCode> PressAsync(string path, string? from = "same-origin")
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(_wix.Url, path));
        if (from is not null)
        {
            request.Headers.Add("Sec-Fetch-Site", from);
        }

        using var answer = await _http.SendAsync(request);
        return answer.StatusCode;
    }

    private Task<string> ListAsync(string query = "") => _http.GetStringAsync(new Uri(_wix.Url, $"events/list{query}"));
}

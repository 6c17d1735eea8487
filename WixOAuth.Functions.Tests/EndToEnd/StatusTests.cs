using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Moq;
using RazorSlices;
using WixOAuth.Events;
using WixOAuth.Functions.Tests.Events;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Pages;
using WixOAuth.Secrets;
using WixOAuth.Storage;
using WixOAuth.Wix;
using static WixOAuth.Functions.Tests.Storage.Samples;
using PretendWixEndpoints = WixOAuth.PretendWix.PretendWixEndpoints;
using PretendWixFault = WixOAuth.PretendWix.PretendWixFault;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>The operators' page as it comes over HTTP; for what it does in a browser see the browser tests.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class StatusTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private TestBed _bed = null!;

    public async Task InitializeAsync() => _bed = await TestBed.StartAsync(azurite);

    public async Task DisposeAsync() => await _bed.DisposeAsync();

    [Fact]
    public async Task The_view_shows_how_the_sites_stand_and_is_never_framed()
    {
        var id = await _bed.InstallAsync("Ann's Café");

        using var answer = await _bed.CallAsync(HttpMethod.Get, "status/view");

        AssertStrict(answer);
        var view = await PageAsync(answer);
        Assert.DoesNotContain("<script", view, StringComparison.Ordinal);
        Assert.Contains("Ann&#x27;s Caf", view, StringComparison.Ordinal);
        Assert.Contains(id.ToString(), view, StringComparison.Ordinal);
        Assert.Contains("<b>1</b>active", view, StringComparison.Ordinal);
        Assert.DoesNotContain(TestBed.FunctionKey, view, StringComparison.Ordinal);
        Assert.DoesNotContain(_bed.Wix.Control.IssuedSecrets, secret => view.Contains(secret, StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_page_without_its_data_needs_no_key()
    {
        var id = await _bed.InstallAsync("Ann's Café");

        using var answer = await _bed.CallAsync(HttpMethod.Get, "status", key: null);

        AssertStrict(answer);
        var shell = await PageAsync(answer);
        Assert.DoesNotContain("Ann", shell, StringComparison.Ordinal);
        Assert.DoesNotContain(id.ToString(), shell, StringComparison.Ordinal);
        Assert.Contains("type=\"password\"", shell, StringComparison.Ordinal);
        Assert.Equal(1, Regex.Count(shell, "<script"));

        // The policy lets in what is in the page, and nothing else.
        var policy = TestBed.Header(answer, "Content-Security-Policy")!;
        foreach (var (element, directive) in new[] { ("script", "script-src"), ("style", "style-src") })
        {
            var content = Regex.Match(shell, $"<{element}>(.*?)</{element}>", RegexOptions.Singleline).Groups[1].Value;
            Assert.Contains($"{directive} 'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(content)))}'", policy, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("wrong")]
    public async Task Without_the_key_the_answer_is_401(string? key)
    {
        using var answer = await _bed.CallAsync(HttpMethod.Get, "status/view", key: key);

        Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        Assert.Empty(await answer.Content.ReadAsByteArrayAsync());
    }

    [Fact]
    public async Task A_key_in_the_address_is_refused_even_when_it_is_right()
    {
        foreach (var key in new[] { TestBed.FunctionKey, "wrong", "" })
        {
            await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Get, $"status?code={key}", key: null), 400, "invalid_request");
        }

        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Get, $"status/view?code={TestBed.FunctionKey}", key: null), 400, "invalid_request");
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Get, $"status/view?code={TestBed.FunctionKey}"), 400, "invalid_request");
    }

    [Fact]
    public async Task Everything_from_Wix_is_text()
    {
        const string hostile = "</h3><script>alert(1)</script>\" onclick='x' <img src=x>";
        await _bed.InstallAsync(hostile);

        var page = await PageAsync("status/view");

        Assert.DoesNotContain("<script", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<img", page, StringComparison.Ordinal);
        Assert.Contains("&lt;script&gt;alert(1)", page, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_state_shows_while_Wix_throttles_this_process()
    {
        var ids = new[] { await _bed.InstallAsync(), await _bed.InstallAsync() };
        Assert.DoesNotContain("wix-throttled", await PageAsync("status/view"), StringComparison.Ordinal);
        _bed.Wix.Control.Fail(PretendWixEndpoints.Access, new PretendWixFault { Status = 429, RetryAfter = "3600" });
        var calls = _bed.Wix.Control.Counts.Calls["access"];

        foreach (var (id, longest) in ids.Zip([60, 10]))
        {
            using var answer = await _bed.CallAsync(HttpMethod.Post, $"instances/{id}/refresh");
            Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
            Assert.InRange(answer.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, longest);
        }

        Assert.Equal(calls + 1, _bed.Wix.Control.Counts.Calls["access"]);
        Assert.Contains("id=\"wix-throttled\"", await PageAsync("status/view"), StringComparison.Ordinal);
        Assert.Contains("The circuit to Wix opened (status 429, Wix request id 1", _bed.Logs.Everything, StringComparison.Ordinal);

        _bed.Wix.Control.Heal(PretendWixEndpoints.Access);
        _bed.Clock.Advance(WixCircuit.ProbeInterval);
        using var probe = await _bed.CallAsync(HttpMethod.Post, $"instances/{ids[1]}/refresh");
        Assert.Equal(HttpStatusCode.NoContent, probe.StatusCode);
        Assert.DoesNotContain("wix-throttled", await PageAsync("status/view"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_receiver_nothing_is_said_of_events()
    {
        await _bed.InstallAsync();

        Assert.DoesNotContain("id=\"events\"", await PageAsync("status/view"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Old_events_are_shown_without_a_receiver_and_cannot_be_sent()
    {
        var (id, sequence) = (await _bed.InstallAsync(), _bed.Clock.GetUtcNow().UtcTicks);
        var parked = new OutboxEvent(new InstanceId(id), sequence, InstanceEventType.Connected, "consent", _bed.Clock.GetUtcNow()) { ParkedAt = _bed.Clock.GetUtcNow() };
        await _bed.Table.AddEntityAsync(OutboxRows.ToRow(parked));

        var page = await PageAsync("status/view");

        Assert.Contains($"instance.connected of <code>{id}</code>", page, StringComparison.Ordinal);
        Assert.Contains("Events__Url is not set", page, StringComparison.Ordinal);
        Assert.DoesNotContain("redeliver", page, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Waiting_and_parked_events_are_counted_and_the_parked_ones_can_be_sent_again()
    {
        await using var receiver = await EventReceiver.StartAsync();
        await using var bed = await TestBed.StartAsync(azurite, overrides: null, ("Events__Url", receiver.Url.AbsoluteUri), ("Events__Secret", EventReceiver.Secret), ("Wix__SetupCompletion", "ByApp"));
        Assert.Contains("<dd>0</dd>", EventsOf(await PageAsync(await bed.CallAsync(HttpMethod.Get, "status/view"))), StringComparison.Ordinal);
        receiver.Answer = (_, context) => EventReceiver.Status(context, 503);
        await bed.InstallAsync();
        await receiver.WaitForAsync(1);
        receiver.Answer = (_, context) => EventReceiver.Status(context, 410);
        var gone = await bed.InstallAsync();
        await receiver.WaitForAsync(1);
        await bed.WaitForParkedEventAsync();

        var page = await PageAsync(await bed.CallAsync(HttpMethod.Get, "status/view?recount=yes"));
        Assert.Matches("waiting for delivery, the first since [0-9]+ s</dt><dd>1</dd>", EventsOf(page));
        Assert.Contains("<dd class=\"bad\">1</dd>", EventsOf(page), StringComparison.Ordinal);
        Assert.Contains($"<code>{gone}</code>", EventsOf(page), StringComparison.Ordinal);
        Assert.Contains("id=\"events-parked\"", page, StringComparison.Ordinal);
        Assert.Contains("id=\"redeliver\"", page, StringComparison.Ordinal);

        using var redelivered = await bed.CallAsync(HttpMethod.Post, "events/redeliver");
        page = await PageAsync(await bed.CallAsync(HttpMethod.Get, "status/view?recount=yes"));
        Assert.Matches("waiting for delivery, the first since [0-9]+ s</dt><dd>2</dd>", EventsOf(page));
        Assert.DoesNotContain("redeliver", page, StringComparison.Ordinal);
        Assert.DoesNotContain("id=\"events-parked\"", page, StringComparison.Ordinal);

        static string EventsOf(string page) => Regex.Match(page, "<section class=\"card\" id=\"events\".*?</section>", RegexOptions.Singleline).Value;
    }

    [Fact]
    public async Task Every_trouble_of_the_whole_service_has_a_banner_that_says_what_to_do()
    {
        var documented = Regex.Match(Repository.Read("docs", "http-api.md"), "- `degraded` lists.*").Value;
        var words = Regex.Matches(documented, "`([a-z]+_[a-z_]+)`: ").Select(match => match.Groups[1].Value).Append("secrets").ToList();
        Assert.Equal(7, words.Count);
        foreach (var word in words.Where(word => word != "sites_on_fallback"))
        {
            var banner = await BannersAsync(word);
            Assert.Contains($"id=\"{word.Replace('_', '-')}\"", banner, StringComparison.Ordinal);
            Assert.Contains("runbook", banner, StringComparison.Ordinal);
        }

        // Each place of the runbook that is named is there.
        var all = await BannersAsync([.. words]);
        var headings = Regex.Matches(Repository.Read("docs", "operations.md"), "^###? (.*)$", RegexOptions.Multiline).Select(match => match.Groups[1].Value).ToList();
        var named = Regex.Matches(all, "“([^”]+)”").Select(match => match.Groups[1].Value).Where(name => name != "wixoauth backup").ToList();
        Assert.Equal(7, named.Count);
        Assert.All(named, name => Assert.Contains(name, headings));
        Assert.Equal("", (await BannersAsync("sites_on_fallback", "unknown")).Trim());

        // One that is there, on the page; and none where all is well.
        Assert.DoesNotContain("card warning", await PageAsync("status/view"), StringComparison.Ordinal);
        await _bed.SweepAsync();
        _bed.Clock.Advance(TimeSpan.FromMinutes(6));
        Assert.Contains("id=\"sweep-overdue\"", await PageAsync("status/view"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_secret_that_cannot_be_read_is_a_trouble_of_the_whole_service()
    {
        var secret = new Mock<ISecretSource<AppSecretVersion>>();
        secret.Setup(source => source.GetAsync(It.IsAny<CancellationToken>())).ThrowsAsync(new SecretUnavailableException("Key Vault is away."));
        await using var bed = await TestBed.StartAsync(azurite, services => services.Replace(ServiceDescriptor.Singleton(secret.Object)));

        Assert.Contains("id=\"secrets\"", await PageAsync(await bed.CallAsync(HttpMethod.Get, "status/view")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Sites_are_paged_and_searched()
    {
        for (var number = 0; number < 27; number++)
        {
            await _bed.InstallAsync($"Site number {number:D2}");
        }

        var first = await PageAsync("status/view");
        Assert.Contains("25 instances", first, StringComparison.Ordinal);
        var cursor = Regex.Match(first, "id=\"next\" data-cursor=\"([^\"]+)\"").Groups[1].Value;
        var second = await PageAsync($"status/view?cursor={cursor}");
        Assert.Contains("2 instances", second, StringComparison.Ordinal);
        Assert.DoesNotContain("id=\"next\"", second, StringComparison.Ordinal);

        var found = await PageAsync("status/view?search=NUMBER%2013");
        Assert.Contains("1 instance<", found, StringComparison.Ordinal);
        Assert.Contains("Site number 13", found, StringComparison.Ordinal);
        var id = Regex.Match(found, "data-id=\"([^\"]+)\"").Groups[1].Value;
        Assert.Contains("Site number 13", await PageAsync($"status/view?search={id}"), StringComparison.Ordinal);
        Assert.Contains("No instance found", await PageAsync("status/view?search=nowhere"), StringComparison.Ordinal);
        Assert.Contains("No instance found", await PageAsync($"status/view?search={new string('x', 201)}"), StringComparison.Ordinal);
        Assert.Contains("No instance found", await PageAsync("status/view?status=removed"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Only_failing_sites_are_listed_a_page_at_a_time()
    {
        await using var bed = await TestBed.StartAsync(azurite, overrides: null, ("Wix__ClientCredentialsFallback", "false"));
        var well = await bed.InstallAsync("A site that is well");
        List<Guid> failing = [];
        for (var number = 0; number < 27; number++)
        {
            failing.Add(await bed.InstallAsync($"Site number {number:D2}"));
            bed.Wix.Control.RejectRefreshToken(failing[^1]);
        }

        bed.Clock.Advance(TimeSpan.FromMinutes(6));
        await Task.WhenAll(failing.Append(well).Select(id => bed.GetTokenAsync(id)));

        var first = await PageAsync(await bed.CallAsync(HttpMethod.Get, "status/view?status=failing"));
        Assert.Contains("<b>27</b>active, last refresh failed", first, StringComparison.Ordinal);
        var cursor = Regex.Match(first, "id=\"next\" data-cursor=\"([^\"]+)\"").Groups[1].Value;
        var second = await PageAsync(await bed.CallAsync(HttpMethod.Get, $"status/view?status=failing&cursor={cursor}"));
        Assert.DoesNotContain("id=\"next\"", second, StringComparison.Ordinal);
        Assert.Equal((25, 2), (Ids(first).Count, Ids(second).Count));
        Assert.Equal(failing.Select(id => id.ToString()).Order(StringComparer.Ordinal), Ids(first).Concat(Ids(second)));

        var found = await PageAsync(await bed.CallAsync(HttpMethod.Get, "status/view?status=failing&search=number%2013"));
        Assert.Equal([failing[13].ToString()], Ids(found));
        Assert.Empty(Ids(await PageAsync(await bed.CallAsync(HttpMethod.Get, "status/view?status=failing&search=well"))));
        Assert.Empty(Ids(await PageAsync(await bed.CallAsync(HttpMethod.Get, $"status/view?status=failing&search={well}"))));
        Assert.Single(Ids(await PageAsync(await bed.CallAsync(HttpMethod.Get, $"status/view?status=failing&search={failing[0]}"))));
        await TestBed.AssertProblemAsync(await bed.CallAsync(HttpMethod.Get, $"status/view?cursor={cursor}"), 400, "invalid_request");

        // One that is well again is listed no more, though the counts are half a minute old.
        using var forgotten = await bed.CallAsync(HttpMethod.Delete, $"instances/{failing[0]}");
        Assert.DoesNotContain(failing[0].ToString(), await PageAsync(await bed.CallAsync(HttpMethod.Get, "status/view?status=failing")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_last_hour_is_that_of_processes_that_are_gone_too()
    {
        var id = await _bed.InstallAsync();
        using var first = await _bed.CallAsync(HttpMethod.Post, $"instances/{id}/refresh");
        Assert.Contains("<dt>succeeded</dt><dd>1</dd>", await PageAsync("status/view"), StringComparison.Ordinal);

        await _bed.RestartAsync();

        Assert.Contains("<dt>succeeded</dt><dd>1</dd>", await PageAsync("status/view"), StringComparison.Ordinal);
        using var second = await _bed.CallAsync(HttpMethod.Post, $"instances/{id}/refresh");
        Assert.Contains("<dt>succeeded</dt><dd>2</dd>", await PageAsync("status/view"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_incomplete_search_says_so_and_can_be_continued()
    {
        var store = new MemoryInstanceStore();
        foreach (var (id, name) in Enumerable.Range(0, 5_000).Select(number => (new Guid(number, 0, 1, new byte[8]), "Hay")).Append((Guid.AllBitsSet, "Needle")))
        {
            await store.TryWriteAsync(null, NewInstance(new InstanceId(id)) with { Site = new Site(null, name, null) }, CancellationToken.None);
        }

        await using var bed = await TestBed.StartAsync(azurite, services =>
            services.Replace(ServiceDescriptor.Singleton<IInstanceStore>(store)).Replace(ServiceDescriptor.Singleton<IOutbox>(store)).Replace(ServiceDescriptor.Singleton<IRefreshTallyStore>(store)).Replace(ServiceDescriptor.Singleton<ISweepStateStore>(store)));

        var first = await PageAsync(await bed.CallAsync(HttpMethod.Get, "status/view?search=needle"));
        Assert.Contains("None found so far", first, StringComparison.Ordinal);
        var cursor = Regex.Match(first, "id=\"next\" data-cursor=\"([^\"]+)\">Search on<").Groups[1].Value;
        var second = await PageAsync(await bed.CallAsync(HttpMethod.Get, $"status/view?search=needle&cursor={cursor}"));
        Assert.Contains("1 instance<", second, StringComparison.Ordinal);
        Assert.DoesNotContain("id=\"next\"", second, StringComparison.Ordinal);

        // What is found comes a page at a time, each once.
        var hay = await PageAsync(await bed.CallAsync(HttpMethod.Get, "status/view?search=hay"));
        Assert.Contains("25 found so far", hay, StringComparison.Ordinal);
        cursor = Regex.Match(hay, "id=\"next\" data-cursor=\"([^\"]+)\"").Groups[1].Value;
        var more = Ids(await PageAsync(await bed.CallAsync(HttpMethod.Get, $"status/view?search=hay&cursor={cursor}")));
        Assert.Equal(50, Ids(hay).Concat(more).Distinct().Count());
    }

    [Fact]
    public async Task A_row_that_cannot_be_read_is_left_out_also_where_it_is_searched_for_by_its_id()
    {
        var id = await _bed.InstallAsync();
        var row = (await _bed.RowsOfAsync(id)).Single(stored => stored.RowKey == $"i|{id}");
        row["Generation"] = "a newer version's";
        await _bed.Table.UpdateEntityAsync(row, row.ETag);

        Assert.Contains("No instance found", await PageAsync($"status/view?search={id}"), StringComparison.Ordinal);
        Assert.Contains("No instance found", await PageAsync("status/view"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_change_by_the_operator_recounts_everything()
    {
        var id = await _bed.InstallAsync();
        Assert.Contains("<b>1</b>active<", await PageAsync("status/view"), StringComparison.Ordinal);
        using var forgotten = await _bed.CallAsync(HttpMethod.Delete, $"instances/{id}");

        Assert.Contains("<b>1</b>active<", await PageAsync("status/view"), StringComparison.Ordinal);
        Assert.Contains("<b>0</b>active<", await PageAsync("status/view?recount=yes"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("?recount=a&recount=b")]
    [InlineData("?status=gone")]
    [InlineData("?status=Failing")]
    [InlineData("?cursor=forged")]
    [InlineData("?search=a&search=b")]
    public async Task Parameters_that_the_page_did_not_make_are_refused(string query) =>
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Get, $"status/view{query}"), 400, "invalid_request");

    [Fact]
    public async Task A_failing_site_says_why_in_plain_words()
    {
        await using var bed = await TestBed.StartAsync(azurite, overrides: null, ("Wix__ClientCredentialsFallback", "false"));
        var id = await bed.InstallAsync();
        bed.Wix.Control.RejectRefreshToken(id);
        bed.Clock.Advance(TimeSpan.FromMinutes(6));
        await bed.GetTokenAsync(id);

        var page = await (await bed.CallAsync(HttpMethod.Get, "status/view")).Content.ReadAsStringAsync();

        Assert.Contains("Wix rejects every grant that is allowed for it", page, StringComparison.Ordinal);
        Assert.Contains("<b>1</b>active, last refresh failed", page, StringComparison.Ordinal);
        Assert.Contains("<dt>failed</dt><dd>1</dd>", page, StringComparison.Ordinal);
        Assert.Contains("no token, though they should have one</dt><dd class=\"bad\">1</dd>", page, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ByApp", true)]
    [InlineData("Never", false)]
    public async Task An_app_that_never_sends_set_up_events_is_not_offered_the_button(string mode, bool isOffered)
    {
        await using var bed = await TestBed.StartAsync(azurite, overrides: null, ("Wix__SetupCompletion", mode));
        await bed.InstallAsync();

        var page = await PageAsync(await bed.CallAsync(HttpMethod.Get, "status/view"));

        Assert.Equal(isOffered, page.Contains("data-act=\"setup\"", StringComparison.Ordinal));
        Assert.Equal(isOffered, page.Contains("Set-up not completed", StringComparison.Ordinal));
        Assert.Contains("data-act=\"refresh\"", page, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("https://ann.example.com/", true)]
    [InlineData("javascript:alert(1)", false)]
    [InlineData("JaVaScRiPt:alert(1)//https://ann.example.com", false)]
    [InlineData("data:text/html,<script>alert(1)</script>", false)]
    [InlineData("//evil.example", false)]
    [InlineData("https://ann.example.com/\" onclick=\"alert(1)", true)]
    public async Task Only_an_address_of_the_web_becomes_a_link(string url, bool isLink)
    {
        var id = await _bed.InstallAsync();
        var row = (await _bed.RowsOfAsync(id)).Single(stored => stored.RowKey == $"i|{id}");
        row["SiteUrl"] = url;
        await _bed.Table.UpdateEntityAsync(row, row.ETag);

        var page = await PageAsync("status/view");

        Assert.Equal(isLink ? 1 : 0, Regex.Count(page, "<a "));
        Assert.All(Regex.Matches(page, "<a ([^>]*)>").Select(link => link.Groups[1].Value), link => Assert.Matches("^href=\"https://ann[.]example[.]com/[^\" ]*\" target=\"_blank\" rel=\"noopener noreferrer nofollow\"$", link));
    }

    private static async Task<string> BannersAsync(params string[] troubles) => await new Pages_StatusBanners { Model = troubles }.RenderAsync();

    private static void AssertStrict(HttpResponseMessage answer)
    {
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        TestBed.AssertCommonHeaders(answer);
        Assert.Equal("text/html", answer.Content.Headers.ContentType?.MediaType);
        Assert.Equal("DENY", TestBed.Header(answer, "X-Frame-Options"));
        Assert.Equal("same-origin", TestBed.Header(answer, "Cross-Origin-Opener-Policy"));
        var policy = TestBed.Header(answer, "Content-Security-Policy")!;
        Assert.StartsWith("default-src 'none'; ", policy, StringComparison.Ordinal);
        Assert.Contains("frame-ancestors 'none'", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
    }

    private static List<string> Ids(string page) => [.. Regex.Matches(page, "data-act=\"refresh\" data-id=\"([^\"]+)\"").Select(match => match.Groups[1].Value)];

    private async Task<string> PageAsync(string path) => await PageAsync(await _bed.CallAsync(HttpMethod.Get, path));

    private static async Task<string> PageAsync(HttpResponseMessage answer)
    {
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return await answer.Content.ReadAsStringAsync();
    }
}

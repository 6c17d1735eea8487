using System.Net;
using System.Security.Cryptography;
using System.Text;
using Azure.Data.Tables;
using WixOAuth.PretendWix;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>GetToken and its neighbours to the contract, row by row.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class GetTokenTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private TestBed _bed = null!;

    public async Task InitializeAsync() => _bed = await TestBed.StartAsync(azurite);

    public async Task DisposeAsync() => await _bed.DisposeAsync();

    [Fact]
    public async Task A_stale_token_is_refreshed_on_demand_also_after_a_restart()
    {
        var id = await _bed.InstallAsync();
        var first = await TokenAsync(id);
        await _bed.RestartAsync();
        Assert.Equal(first, await TokenAsync(id));

        _bed.Clock.Advance(TimeSpan.FromMinutes(5));
        var second = await TokenAsync(id);

        Assert.NotEqual(first, second);
        Assert.Equal(second, await TokenAsync(id));
        Assert.Equal(1, _bed.Wix.Control.Counts.Grants["refresh_token"]);
    }

    [Fact]
    public async Task The_sweep_keeps_a_site_warm()
    {
        var id = await _bed.InstallAsync();
        for (var minute = 0; minute < 12; minute++)
        {
            _bed.Clock.Advance(TimeSpan.FromMinutes(1));
            await _bed.SweepAsync();
        }

        var calls = _bed.Wix.Control.Counts.Grants["refresh_token"];
        Assert.InRange(calls, 3, 4);
        await TokenAsync(id);
        Assert.Equal(calls, _bed.Wix.Control.Counts.Grants["refresh_token"]);
    }

    [Fact]
    public async Task Min_ttl_is_met()
    {
        var id = await _bed.InstallAsync();
        _bed.Clock.Advance(TimeSpan.FromSeconds(75));
        await TokenAsync(id, "?min_ttl=190");
        Assert.Equal(0, _bed.Wix.Control.Counts.Grants["refresh_token"]);

        var answer = await TestBed.ReadJsonAsync(await _bed.GetTokenAsync(id, "?min_ttl=240"));
        Assert.InRange(answer.GetProperty("expires_in").GetInt32(), 290, 300);
        Assert.Equal(1, _bed.Wix.Control.Counts.Grants["refresh_token"]);
    }

    [Fact]
    public async Task A_token_that_Wix_refused_is_replaced()
    {
        var id = await _bed.InstallAsync();
        var refused = await TokenAsync(id);
        _bed.Clock.Advance(TimeSpan.FromSeconds(20));
        var fingerprint = Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(refused)));

        var replaced = await TokenAsync(id, $"?rejected={fingerprint}");

        Assert.NotEqual(refused, replaced);
        Assert.Equal(replaced, await TokenAsync(id, $"?rejected={fingerprint}"));
        Assert.Equal(1, _bed.Wix.Control.Counts.Grants["refresh_token"]);
    }

    [Theory]
    [InlineData("?min_ttl=241")]
    [InlineData("?min_ttl=-1")]
    [InlineData("?min_ttl=")]
    [InlineData("?min_ttl=1.5")]
    [InlineData("?min_ttl=%201")]
    [InlineData("?min_ttl=99999999999999")]
    [InlineData("?min_ttl=1&min_ttl=2")]
    [InlineData("?min_ttl=٣")]
    [InlineData("?rejected=")]
    [InlineData("?rejected=abc")]
    [InlineData("?rejected=zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz")]
    public async Task A_bad_parameter_is_an_invalid_request(string query) =>
        await TestBed.AssertProblemAsync(await _bed.GetTokenAsync(Guid.NewGuid(), query), 400, "invalid_request");

    [Theory]
    [InlineData("not-a-guid")]
    [InlineData("00000000-0000-0000-0000-000000000000")]
    [InlineData("0a0a0a0a111141118111111111111111")]
    [InlineData("%7B0a0a0a0a-1111-4111-8111-111111111111%7D")]
    [InlineData("0a0a0a0a-1111-4111-8111-11111111111g")]
    [InlineData("%3Cscript%3E")]
    public async Task A_bad_instance_id_is_an_invalid_request(string id)
    {
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Get, $"instances/{id}/token"), 400, "invalid_request");
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Get, $"instances/{id}"), 400, "invalid_request");
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Post, $"instances/{id}/refresh"), 400, "invalid_request");
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Post, $"instances/{id}/setup"), 400, "invalid_request");
    }

    [Fact]
    public async Task An_unknown_instance_is_not_found()
    {
        var id = Guid.NewGuid();
        await TestBed.AssertProblemAsync(await _bed.GetTokenAsync(id), 404, "unknown_instance");
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Get, $"instances/{id}"), 404, "unknown_instance");
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Post, $"instances/{id}/refresh"), 404, "unknown_instance");
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Post, $"instances/{id}/setup"), 404, "unknown_instance");
    }

    [Fact]
    public async Task An_instance_id_is_taken_in_either_case()
    {
        var id = await _bed.InstallAsync();

        using var answer = await _bed.CallAsync(HttpMethod.Get, $"instances/{id.ToString().ToUpperInvariant()}/token");

        Assert.Equal(id.ToString(), (await TestBed.ReadJsonAsync(answer)).GetProperty("instance_id").GetString());
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("wrong")]
    public async Task Without_the_key_the_answer_is_401(string? key)
    {
        foreach (var (method, path) in new[]
        {
            (HttpMethod.Get, $"instances/{Guid.NewGuid()}/token"), (HttpMethod.Get, $"instances/{Guid.NewGuid()}"),
            (HttpMethod.Post, $"instances/{Guid.NewGuid()}/refresh"), (HttpMethod.Post, $"instances/{Guid.NewGuid()}/setup"), (HttpMethod.Post, "install-links"),
        })
        {
            using var answer = await _bed.CallAsync(method, path, key: key);
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        }
    }

    [Fact]
    public async Task The_key_may_come_in_the_query()
    {
        using var answer = await _bed.CallAsync(HttpMethod.Get, $"instances/{Guid.NewGuid()}/token?code={TestBed.FunctionKey}", key: null);

        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
    }

    [Fact]
    public async Task While_Wix_is_down_the_old_token_is_served_until_it_expires_and_then_503_with_Retry_After()
    {
        var id = await _bed.InstallAsync();
        var old = await TokenAsync(id);
        _bed.Wix.Control.Fail(PretendWixEndpoints.Access, new PretendWixFault { Status = 503, RetryAfter = "90" });

        _bed.Clock.Advance(TimeSpan.FromSeconds(200));
        Assert.Equal(old, await TokenAsync(id));
        _bed.Clock.Advance(TimeSpan.FromSeconds(200));
        using var away = await _bed.GetTokenAsync(id);
        await TestBed.AssertProblemAsync(away, 503, "wix_unavailable");

        _bed.Wix.Control.Heal(PretendWixEndpoints.Access);
        _bed.Clock.Advance(TimeSpan.FromSeconds(100));
        Assert.NotEqual(old, await TokenAsync(id));
    }

    [Fact]
    public async Task A_rejection_that_is_not_yet_final_is_a_503_and_a_final_one_a_409()
    {
        await using var bed = await TestBed.StartAsync(azurite, overrides: null, ("Wix__ClientCredentialsFallback", "false"));
        var (id, well) = (await bed.InstallAsync(), await bed.InstallAsync("Well"));
        bed.Wix.Control.RejectRefreshToken(id);
        bed.Clock.Advance(TimeSpan.FromMinutes(6));

        await TestBed.AssertProblemAsync(await bed.GetTokenAsync(id), 503, "wix_unavailable");

        // Two sites are too few to ask whether the app secret works: there only time decides.
        for (var turn = 0; turn < 7; turn++)
        {
            bed.Clock.Advance(TimeSpan.FromHours(7));
            await bed.GetTokenAsync(well);
            await bed.GetTokenAsync(id);
        }

        await TestBed.AssertProblemAsync(await bed.GetTokenAsync(id), 409, "reinstall_required");
        Assert.Equal("reinstall_required", (await bed.GetInstanceAsync(id)).GetProperty("status").GetString());
        Assert.Equal("rejected", (await bed.GetInstanceAsync(id)).GetProperty("token").GetProperty("last_error").GetString());

        using var browser = new TestBrowser();
        TestBrowser.LocationOf(await browser.GetAsync(await bed.WalkToRedirectAsync(browser, id)));
        Assert.Equal(HttpStatusCode.OK, (await bed.GetTokenAsync(id)).StatusCode);
    }

    [Fact]
    public async Task A_wrong_app_secret_asks_no_site_to_reinstall()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var ids = new[] { await bed.InstallAsync("One"), await bed.InstallAsync("Two"), await bed.InstallAsync("Three") };
        bed.Wix.Control.RotateAppSecret("another-secret", oldStaysValid: false);
        for (var turn = 0; turn < 12; turn++)
        {
            bed.Clock.Advance(TimeSpan.FromMinutes(5));
            foreach (var id in ids)
            {
                await bed.GetTokenAsync(id);
            }
        }

        foreach (var id in ids)
        {
            await TestBed.AssertProblemAsync(await bed.GetTokenAsync(id), 503, "wix_unavailable");
        }
    }

    [Fact]
    public async Task Callers_of_a_site_with_a_dead_refresh_token_are_served_by_client_credentials()
    {
        var id = await _bed.InstallAsync();
        _bed.Wix.Control.RejectRefreshToken(id);
        _bed.Clock.Advance(TimeSpan.FromMinutes(6));

        var answer = await TestBed.ReadJsonAsync(await _bed.GetTokenAsync(id));

        Assert.InRange(answer.GetProperty("expires_in").GetInt32(), 14_300, 14_400);
        Assert.Equal("client_credentials", (await _bed.GetInstanceAsync(id)).GetProperty("grant").GetString());
    }

    [Fact]
    public async Task RefreshInstance_refreshes_now()
    {
        var id = await _bed.InstallAsync();
        var old = await TokenAsync(id);

        using var answer = await _bed.CallAsync(HttpMethod.Post, $"instances/{id}/refresh");

        Assert.Equal(HttpStatusCode.NoContent, answer.StatusCode);
        TestBed.AssertCommonHeaders(answer);
        Assert.NotEqual(old, await TokenAsync(id));
    }

    [Fact]
    public async Task An_unavailable_storage_is_answered_with_503()
    {
        await using var bed = await TestBed.StartWithoutStorageAsync(azurite);

        await TestBed.AssertProblemAsync(await bed.GetTokenAsync(Guid.NewGuid()), 503, "storage_unavailable");
        using var health = await bed.CallAsync(HttpMethod.Get, "health", key: null);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, health.StatusCode);
        Assert.Equal("""{"status":"unhealthy","storage":"unhealthy","secrets":"healthy","degraded":[]}""", await health.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task Health_is_healthy_when_everything_works()
    {
        using var health = await _bed.CallAsync(HttpMethod.Get, "health", key: null);

        Assert.Equal(HttpStatusCode.OK, health.StatusCode);
        TestBed.AssertCommonHeaders(health);
        Assert.Equal("""{"status":"healthy","storage":"healthy","secrets":"healthy","degraded":[]}""", await health.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task Tokens_are_encrypted_where_they_lie()
    {
        var id = await _bed.InstallAsync();
        var secrets = _bed.Wix.Control.IssuedSecrets;
        Assert.NotEmpty(secrets);

        var table = new TableClient(_bed.Settings["Tables__ConnectionString"], _bed.Settings["Tables__Name"]);
        foreach (var value in table.Query<TableEntity>().SelectMany(row => ((IDictionary<string, object?>)row).Values))
        {
            var text = value is byte[] bytes ? Encoding.Latin1.GetString(bytes) : value?.ToString() ?? "";
            Assert.DoesNotContain(secrets, secret => text.Contains(secret, StringComparison.Ordinal));
        }

        // A row copied onto another instance opens as nothing.
        var other = await _bed.InstallAsync("Other");
        var rows = table.Query<TableEntity>(row => row.RowKey.CompareTo("i|") >= 0 && row.RowKey.CompareTo("i}") < 0).ToList();
        var (mine, theirs) = (rows.Single(row => row.RowKey == $"i|{id}"), rows.Single(row => row.RowKey == $"i|{other}"));
        foreach (var (name, value) in mine.Where(pair => pair.Value is byte[]))
        {
            theirs[name] = value;
        }

        await table.UpdateEntityAsync(theirs, theirs.ETag, TableUpdateMode.Replace);
        await _bed.RestartAsync();
        _bed.Wix.Control.Fail(PretendWixEndpoints.Token, new PretendWixFault { Status = 500 });
        var stolen = await TokenAsync(id);
        using var answer = await _bed.GetTokenAsync(other);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Assert.DoesNotContain(stolen, await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    private async Task<string> TokenAsync(Guid id, string query = "")
    {
        using var answer = await _bed.GetTokenAsync(id, query);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return (await TestBed.ReadJsonAsync(answer)).GetProperty("access_token").GetString()!;
    }
}

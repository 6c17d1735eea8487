using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using WixOAuth.PretendWix;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary><c>ImportInstance</c> over HTTP, with the pretend Wix.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class ImportInstanceTests(AzuriteFixture azurite)
{
    [Fact]
    public async Task A_site_of_another_system_is_imported_once_and_served_with_its_own_refresh_token()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var seed = Assert.Single(bed.Wix.Seed(1));
        bed.Wix.Control.Reset();

        await AssertOutcomeAsync(await ImportAsync(bed, seed.InstanceId, seed.RefreshToken, "acme", "2026-01-02T03:04:05Z"), HttpStatusCode.Created, seed.InstanceId, "imported");
        Assert.Equal(1, bed.Wix.Control.Counts.Grants["refresh_token"]);
        await AssertOutcomeAsync(await ImportAsync(bed, seed.InstanceId, seed.RefreshToken, "other", "2026-01-02T03:04:05Z"), HttpStatusCode.OK, seed.InstanceId, "unchanged");
        Assert.Equal(1, bed.Wix.Control.Counts.Grants["refresh_token"]);

        Assert.Equal(HttpStatusCode.OK, (await bed.GetTokenAsync(seed.InstanceId)).StatusCode);
        var instance = await bed.GetInstanceAsync(seed.InstanceId);
        Assert.Equal(("active", "acme", "ok", "refresh_token"), (Text("status"), Text("customer"), Text("refresh_token"), Text("grant")));
        Assert.DoesNotContain(seed.RefreshToken, bed.Logs.Everything, StringComparison.Ordinal);

        string? Text(string name) => instance.GetProperty(name).GetString();
    }

    [Fact]
    public async Task A_token_that_Wix_refuses_or_that_is_of_another_instance_is_409_and_nothing_is_saved()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var seeds = bed.Wix.Seed(2);

        await TestBed.AssertProblemAsync(await ImportAsync(bed, seeds[0].InstanceId, seeds[1].RefreshToken), 409, "import_rejected");
        await TestBed.AssertProblemAsync(await ImportAsync(bed, seeds[0].InstanceId, "no-token-of-Wix"), 409, "import_rejected");
        bed.Wix.Control.RejectRefreshToken(seeds[0].InstanceId);
        await TestBed.AssertProblemAsync(await ImportAsync(bed, seeds[0].InstanceId, seeds[0].RefreshToken), 409, "import_rejected");

        Assert.Empty(await bed.RowsOfAsync(seeds[0].InstanceId));
        Assert.Empty(await bed.RowsOfAsync(seeds[1].InstanceId));
    }

    [Fact]
    public async Task A_stored_token_that_works_is_kept_unless_the_import_is_of_a_later_consent()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var seed = Assert.Single(bed.Wix.Seed(1));
        var (id, now) = (seed.InstanceId, bed.Clock.GetUtcNow());

        // Wix sends another refresh token in place of the one that is imported, and the old one stays valid.
        bed.Wix.Control.Switches = bed.Wix.Control.Switches with { RefreshTokenAnswer = RefreshTokenAnswer.New, OldRefreshTokensStayValid = true };
        await AssertOutcomeAsync(await ImportAsync(bed, id, seed.RefreshToken, consentedAt: Iso(now.AddHours(-2))), HttpStatusCode.Created, id, "imported");
        await AssertOutcomeAsync(await ImportAsync(bed, id, seed.RefreshToken, consentedAt: Iso(now.AddHours(-2))), HttpStatusCode.OK, id, "kept");

        // Dead or alive, one of an older consent is not even tried.
        var before = bed.Wix.Control.Counts.Grants["refresh_token"];
        await AssertOutcomeAsync(await ImportAsync(bed, id, "a-dead-one"), HttpStatusCode.OK, id, "kept");
        await AssertOutcomeAsync(await ImportAsync(bed, id, "a-dead-one", consentedAt: Iso(now.AddHours(-3))), HttpStatusCode.OK, id, "kept");
        Assert.Equal(before, bed.Wix.Control.Counts.Grants["refresh_token"]);

        bed.Wix.Control.Switches = bed.Wix.Control.Switches with { RefreshTokenAnswer = RefreshTokenAnswer.Same };
        await AssertOutcomeAsync(await ImportAsync(bed, id, seed.RefreshToken, consentedAt: Iso(now.AddHours(-1))), HttpStatusCode.OK, id, "refreshed");
        await AssertOutcomeAsync(await ImportAsync(bed, id, seed.RefreshToken), HttpStatusCode.OK, id, "unchanged");
    }

    [Fact]
    public async Task A_removed_or_forgotten_site_is_410_unless_it_is_revived()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var seed = Assert.Single(bed.Wix.Seed(1));
        await ImportAsync(bed, seed.InstanceId, seed.RefreshToken);
        await bed.CallAsync(HttpMethod.Delete, $"instances/{seed.InstanceId}");

        await TestBed.AssertProblemAsync(await ImportAsync(bed, seed.InstanceId, seed.RefreshToken), 410, "app_removed");
        await AssertOutcomeAsync(await ImportAsync(bed, seed.InstanceId, seed.RefreshToken, query: "?revive=true"), HttpStatusCode.Created, seed.InstanceId, "imported");
        Assert.Equal(HttpStatusCode.OK, (await bed.GetTokenAsync(seed.InstanceId)).StatusCode);
    }

    [Fact]
    public async Task Without_a_token_a_site_is_served_by_client_credentials_where_they_are_allowed()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var seeds = bed.Wix.Seed(2);
        await AssertOutcomeAsync(await ImportAsync(bed, seeds[0].InstanceId, token: null), HttpStatusCode.Created, seeds[0].InstanceId, "imported");
        Assert.Equal(HttpStatusCode.OK, (await bed.GetTokenAsync(seeds[0].InstanceId)).StatusCode);

        // A token that comes later is taken.
        await AssertOutcomeAsync(await ImportAsync(bed, seeds[0].InstanceId, seeds[0].RefreshToken), HttpStatusCode.OK, seeds[0].InstanceId, "refreshed");

        await bed.RestartAsync(("Wix__ClientCredentialsFallback", "false"));
        await TestBed.AssertProblemAsync(await ImportAsync(bed, seeds[1].InstanceId, token: null), 400, "invalid_request");
    }

    [Fact]
    public async Task While_Wix_gives_no_answer_it_is_503_and_nothing_is_saved()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var seed = Assert.Single(bed.Wix.Seed(1));
        bed.Wix.Control.Fail(PretendWixEndpoints.Access, new PretendWixFault { Status = 500 });
        await TestBed.AssertProblemAsync(await ImportAsync(bed, seed.InstanceId, seed.RefreshToken), 503, "wix_unavailable");
        Assert.Empty(await bed.RowsOfAsync(seed.InstanceId));
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{\"refresh_token\":\"\"}")]
    [InlineData("{\"refresh_token\":\"with space\"}")]
    [InlineData("{\"refresh_token\":7}")]
    [InlineData("{\"refreshToken\":\"a-token\"}")]
    [InlineData("{\"refresh_token\":\"a-token\",\"refresh_token\":\"another\"}")]
    [InlineData("{\"customer\":\"\"}")]
    [InlineData("{\"customer\":\"a\\u0007\"}")]
    [InlineData("{\"consented_at\":\"yesterday\"}")]
    [InlineData("{\"consented_at\":\"2026-01-01T00:00:00\"}")]
    [InlineData("{\"consented_at\":\"2026-01-01T00:00:00.123\"}")]
    [InlineData("{\"consented_at\":\"2026-01-01\"}")]
    [InlineData("{\"consented_at\":\"2026-01-01Z\"}")]
    [InlineData("{\"consented_at\":1767225600}")]
    [InlineData("{\"consented_at\":\"\\ud800Z\"}")]
    [InlineData("{\"consented_at\":\"2999-01-01T00:00:00Z\"}")]
    [InlineData("{\"consented_at\":\"0001-01-01T00:00:00Z\"}")]
    public async Task A_body_that_is_not_as_described_is_400(string body)
    {
        await using var bed = await TestBed.StartAsync(azurite);
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        await TestBed.AssertProblemAsync(await bed.CallAsync(HttpMethod.Put, $"instances/{Guid.NewGuid()}", content), 400, "invalid_request");
        Assert.Empty(bed.Wix.Control.Calls);
    }

    [Theory]
    [InlineData("?revive=perhaps")]
    [InlineData("?revive=true&revive=true")]
    [InlineData("?revived=true")]
    public async Task A_parameter_that_is_not_as_described_is_400(string query)
    {
        await using var bed = await TestBed.StartAsync(azurite);
        await TestBed.AssertProblemAsync(await ImportAsync(bed, Guid.NewGuid(), "a-token", query: query), 400, "invalid_request");
    }

    [Fact]
    public async Task It_asks_for_the_master_key()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        Assert.Equal(HttpStatusCode.Unauthorized, (await bed.CallAsync(HttpMethod.Put, $"instances/{Guid.NewGuid()}", JsonContent.Create(new { }), key: null)).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await bed.CallAsync(HttpMethod.Put, $"instances/{Guid.NewGuid()}", JsonContent.Create(new { }), key: "another")).StatusCode);
    }

    private static string Iso(DateTimeOffset time) => time.UtcDateTime.ToString("O", CultureInfo.InvariantCulture);

    private static Task<HttpResponseMessage> ImportAsync(TestBed bed, Guid id, string? token, string? customer = null, string? consentedAt = null, string query = "") =>
        bed.CallAsync(HttpMethod.Put, $"instances/{id}{query}", JsonContent.Create(new { refresh_token = token, customer, consented_at = consentedAt }));

    private static async Task AssertOutcomeAsync(HttpResponseMessage response, HttpStatusCode status, Guid id, string outcome)
    {
        var body = await response.Content.ReadAsStringAsync();
        Assert.True(status == response.StatusCode, body);
        Assert.Equal($$"""{"instance_id":"{{id}}","outcome":"{{outcome}}"}""", body);
        TestBed.AssertCommonHeaders(response);
    }
}

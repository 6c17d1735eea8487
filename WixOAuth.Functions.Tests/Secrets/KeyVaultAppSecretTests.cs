using Azure.Core;
using Azure.Identity;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Secrets;

namespace WixOAuth.Functions.Tests.Secrets;

public sealed class KeyVaultAppSecretTests : KeyVaultFixture
{
    [Fact]
    public async Task The_secret_is_read_after_the_challenge_and_kept_for_15_minutes()
    {
        var version = AddAppSecret("first-value");
        var source = AppSecrets();

        var read = await source.GetAsync(None);
        Time.Advance(TimeSpan.FromMinutes(11));
        var again = await source.GetAsync(None);

        Assert.Equal(("first-value", version), (read.Value.Reveal(), read.Version));
        Assert.Same(read, again);
        Assert.Equal(1, Vault.Challenges);
        Assert.Equal(["/secrets/wix-app-secret"], Vault.Calls);
        Assert.NotEmpty(Logs.SdkLines);
    }

    [Fact]
    public async Task After_15_minutes_a_new_version_is_picked_up_with_one_more_request()
    {
        AddAppSecret("first-value");
        var source = AppSecrets();
        await source.GetAsync(None);
        AddAppSecret("second-value");

        Time.Advance(TimeSpan.FromMinutes(15));

        Assert.Equal("second-value", (await source.GetAsync(None)).Value.Reveal());
        Assert.Equal("second-value", (await source.GetAsync(None)).Value.Reveal());
        Assert.Equal(2, Vault.Calls.Count);
        Assert.Equal(2, Logs.Lines(LogLevel.Information).Count());
    }

    [Fact]
    public async Task After_12_minutes_it_is_read_in_the_background_without_blocking_callers()
    {
        AddAppSecret("first-value");
        var source = AppSecrets();
        await source.GetAsync(None);
        AddAppSecret("second-value");
        var gate = Hold();

        Time.Advance(TimeSpan.FromMinutes(12));
        var meanwhile = source.GetAsync(None);
        Assert.True(meanwhile.IsCompletedSuccessfully);
        Assert.Equal("first-value", (await meanwhile).Value.Reveal());
        await Vault.Arrived.Task;
        var waiting = source.GetNewestAsync(None).AsTask();
        gate.SetResult();

        Assert.Equal("second-value", (await waiting).Value.Reveal());
        Assert.Equal(2, Vault.Calls.Count);
    }

    [Fact]
    public async Task Fifty_callers_at_once_share_one_request()
    {
        AddAppSecret("first-value");
        var source = AppSecrets();
        var gate = Hold();

        var callers = Enumerable.Range(0, 50).Select(_ => source.GetAsync(None).AsTask()).ToList();
        await Vault.Arrived.Task;
        gate.SetResult();

        Assert.All(await Task.WhenAll(callers), read => Assert.Equal("first-value", read.Value.Reveal()));
        Assert.Single(Vault.Calls);
    }

    [Fact]
    public async Task A_caller_that_disconnects_does_not_fail_the_others()
    {
        AddAppSecret("first-value");
        var source = AppSecrets();
        var gate = Hold();
        using var leaving = new CancellationTokenSource();

        var leader = source.GetAsync(leaving.Token).AsTask();
        await Vault.Arrived.Task;
        var follower = source.GetAsync(None).AsTask();
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leader);
        gate.SetResult();

        Assert.Equal("first-value", (await follower).Value.Reveal());
        Assert.Single(Vault.Calls);
    }

    public static TheoryData<int, string, int> Answers => new()
    {
        { 403, "HTTP 403 Forbidden", 1 },
        { 429, "HTTP 429 Throttled", 1 },
        { 500, "HTTP 500 InternalServerError", 3 },
        { 503, "HTTP 503 ServiceUnavailable", 3 },
    };

    [Theory]
    [MemberData(nameof(Answers))]
    public async Task Without_a_known_version_the_secret_and_the_status_are_named(int status, string expected, int tries)
    {
        AddAppSecret("first-value");
        Vault.Fault = () => Fault(status);
        var source = AppSecrets();

        var exception = await RefusedAsync(() => source.GetAsync(None).AsTask());

        Assert.Contains("'wix-app-secret'", exception.Message, StringComparison.Ordinal);
        Assert.Contains(expected, exception.Message, StringComparison.Ordinal);
        Assert.Equal(tries, Vault.Calls.Count);
        Assert.Contains(expected, Assert.Single(Logs.Lines(LogLevel.Critical)), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Answers))]
    public async Task The_known_version_stays_in_use_and_the_vault_is_asked_every_30_seconds(int status, string expected, int tries)
    {
        AddAppSecret("first-value");
        var source = AppSecrets();
        await source.GetAsync(None);
        AddAppSecret("second-value");
        Vault.Fault = () => Fault(status);

        Time.Advance(TimeSpan.FromMinutes(15));
        Assert.Equal("first-value", (await source.GetAsync(None)).Value.Reveal());
        Assert.Equal("first-value", (await source.GetAsync(None)).Value.Reveal());
        Time.Advance(TimeSpan.FromSeconds(29));
        Assert.Equal("first-value", (await source.GetNewestAsync(None)).Value.Reveal());
        Assert.Equal(1 + tries, Vault.Calls.Count);
        Assert.Contains(expected, Assert.Single(Logs.Lines(LogLevel.Error)), StringComparison.Ordinal);

        Vault.Fault = null;
        Time.Advance(TimeSpan.FromSeconds(31));
        Assert.Equal("second-value", (await source.GetNewestAsync(None)).Value.Reveal());
        Assert.Equal(2 + tries, Vault.Calls.Count);
    }

    [Fact]
    public async Task Callers_do_not_wait_for_the_next_attempt_while_the_vault_is_down()
    {
        AddAppSecret("first-value");
        var source = AppSecrets();
        await source.GetAsync(None);
        Vault.Fault = KeyVaultServer.Forbidden;
        Time.Advance(TimeSpan.FromMinutes(15));
        await source.GetAsync(None);

        var gate = Hold();
        Time.Advance(TimeSpan.FromSeconds(30));
        var meanwhile = source.GetAsync(None);

        Assert.True(meanwhile.IsCompletedSuccessfully);
        Assert.Equal("first-value", (await meanwhile).Value.Reveal());
        await Vault.Arrived.Task;
        gate.SetResult();
    }

    [Fact]
    public async Task A_vault_that_says_when_to_come_back_is_left_alone_until_then()
    {
        AddAppSecret("first-value");
        var source = AppSecrets();
        Vault.Fault = () => Throttled(retryAfter: 20);
        await RefusedAsync(() => source.GetAsync(None).AsTask());
        Vault.Fault = null;

        Time.Advance(TimeSpan.FromSeconds(19));
        await RefusedAsync(() => source.GetAsync(None).AsTask());
        Assert.Single(Vault.Calls);
        Time.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal("first-value", (await source.GetAsync(None)).Value.Reveal());
    }

    [Fact]
    public async Task Without_a_known_version_the_vault_is_asked_again_after_5_seconds()
    {
        AddAppSecret("first-value");
        var source = AppSecrets();
        Vault.Fault = KeyVaultServer.Forbidden;
        await RefusedAsync(() => source.GetAsync(None).AsTask());
        await RefusedAsync(() => source.GetNewestAsync(None).AsTask());
        Assert.Single(Vault.Calls);
        Vault.Fault = null;

        Time.Advance(TimeSpan.FromSeconds(5));

        Assert.Equal("first-value", (await source.GetAsync(None)).Value.Reveal());
    }

    [Fact]
    public async Task The_newest_version_is_read_at_most_once_a_minute()
    {
        AddAppSecret("first-value");
        var source = AppSecrets();
        await source.GetAsync(None);
        AddAppSecret("second-value");

        Time.Advance(TimeSpan.FromSeconds(59));
        Assert.Equal("first-value", (await source.GetNewestAsync(None)).Value.Reveal());
        Assert.Single(Vault.Calls);
        Time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("second-value", (await source.GetNewestAsync(None)).Value.Reveal());
        Assert.Equal("second-value", (await source.GetNewestAsync(None)).Value.Reveal());
        Assert.Equal("second-value", (await source.GetAsync(None)).Value.Reveal());

        Assert.Equal(2, Vault.Calls.Count);
    }

    [Fact]
    public async Task A_vault_that_does_not_answer_is_given_up_after_15_seconds()
    {
        AddAppSecret("first-value");
        var source = AppSecrets();
        var gate = Hold();

        var waiting = source.GetAsync(None).AsTask();
        await Vault.Arrived.Task;
        Time.Advance(VaultReader.Patience);

        Assert.Contains("did not answer in time", (await RefusedAsync(() => waiting)).Message, StringComparison.Ordinal);
        gate.SetResult();
    }

    [Fact]
    public async Task A_vault_that_cannot_be_reached_is_unavailable()
    {
        var source = AppSecrets();
        await Vault.DisposeAsync();

        var exception = await RefusedAsync(() => source.GetAsync(None).AsTask());
        Assert.StartsWith("The secret 'wix-app-secret' could not be read from Key Vault: it could not be reached (", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_an_identity_it_is_unavailable()
    {
        AddAppSecret("first-value");

        var exception = await RefusedAsync(() => AppSecrets(new NobodyCredential()).GetAsync(None).AsTask());

        Assert.Contains("no access token", exception.Message, StringComparison.Ordinal);
        Assert.Empty(Vault.Calls);
    }

    [Fact]
    public async Task A_missing_secret_is_named()
    {
        var exception = await RefusedAsync(() => AppSecrets().GetAsync(None).AsTask());

        Assert.Equal("There is no secret 'wix-app-secret' in Key Vault: it answered HTTP 404.", exception.Message);
    }

    [Fact]
    public async Task A_disabled_secret_is_unavailable()
    {
        Vault.Disable(AppSecretName, AddAppSecret("first-value"));

        var exception = await RefusedAsync(() => AppSecrets().GetAsync(None).AsTask());

        Assert.Contains("HTTP 403", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_empty_secret_is_unavailable_and_a_line_feed_at_its_end_is_overlooked()
    {
        Vault.Add(AppSecretName, " \n");
        var source = AppSecrets();
        var exception = await RefusedAsync(() => source.GetAsync(None).AsTask());
        Assert.Contains("is empty", exception.Message, StringComparison.Ordinal);

        AddAppSecret("\uFEFFfirst-value\n");
        Time.Advance(TimeSpan.FromSeconds(5));

        Assert.Equal("first-value", (await source.GetAsync(None)).Value.Reveal());
    }

    [Fact]
    public async Task An_answer_that_makes_no_sense_is_unavailable()
    {
        AddAppSecret("first-value");
        Vault.Fault = () => Results.Text("{\"value\":\"first-value\",\"id\":[", "application/json");

        await RefusedAsync(() => AppSecrets().GetAsync(None).AsTask());

        Assert.Single(Logs.Lines(LogLevel.Critical));
    }

    private TaskCompletionSource Hold()
    {
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Vault.Arrived = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Vault.Gate = gate.Task;
        return gate;
    }

    private static IResult Fault(int status) => status switch
    {
        403 => KeyVaultServer.Forbidden(),
        429 => Throttled(retryAfter: 7),
        503 => KeyVaultServer.Error(503, "ServiceUnavailable", "Try later."),
        _ => KeyVaultServer.Error(500, "InternalServerError", "Something broke."),
    };

    private static AnswerWithRetryAfter Throttled(int retryAfter) =>
        new(KeyVaultServer.Error(429, "Throttled", "Too many requests."), retryAfter);

    private sealed class AnswerWithRetryAfter(IResult answer, int seconds) : IResult
    {
        public Task ExecuteAsync(HttpContext httpContext)
        {
            httpContext.Response.Headers.RetryAfter = $"{seconds}";
            return answer.ExecuteAsync(httpContext);
        }
    }

    private sealed class NobodyCredential : TokenCredential
    {
        public override Azure.Core.AccessToken GetToken(TokenRequestContext requestContext, CancellationToken cancellationToken) =>
            throw new CredentialUnavailableException("No identity was found.");

        public override ValueTask<Azure.Core.AccessToken> GetTokenAsync(TokenRequestContext requestContext, CancellationToken cancellationToken) =>
            throw new CredentialUnavailableException("No identity was found.");
    }
}

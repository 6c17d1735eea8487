using System.Net;
using Microsoft.Extensions.Logging;
using Moq;
using WixOAuth.Functions.Tests.Protection;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Install;

/// <summary>The moments of an import that cannot be provoked from outside.</summary>
public sealed class InstanceImportTests : IDisposable
{
    private static readonly InstanceId s_id = Core.NewId();
    private static readonly ImportedSite s_site = new(Customer: null, ConsentedAt: null, Revive: false, Site: null, AppVersion: null);
    private readonly Mock<IForgottenInstances> _forgotten = new(MockBehavior.Strict);
    private readonly Core _core = new();

    public InstanceImportTests() => _core.Wix.Answer = (path, _, _) => Task.FromResult(Accept(path));

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task A_consent_while_the_token_is_tried_keeps_its_own_tokens()
    {
        _core.Wix.Answer = async (path, _, _) =>
        {
            if (path == "/oauth/access")
            {
                await _core.InstallAsync(s_id, "access-of-the-consent", "refresh-of-the-consent");
            }

            return Accept(path);
        };

        Assert.Equal(new ImportResult(ImportOutcome.Kept), await ImportAsync(s_site));

        Assert.Equal("refresh-of-the-consent", await _core.RefreshTokenOfAsync(s_id));
        Assert.Equal("access-of-the-consent", Assert.IsType<TokenResult.Token>(await _core.GetAsync(s_id)).AccessToken.Reveal());
        Assert.Contains("Kept", Assert.Single(_core.Logs.Of(711)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_access_token_of_an_import_is_served_without_another_call()
    {
        Assert.Equal(new ImportResult(ImportOutcome.Imported), await ImportAsync(s_site));
        _core.Wix.Calls.Clear();

        Assert.Equal("imported-access", _core.Memory.Find(s_id, _core.Clock.GetUtcNow())?.AccessToken.Reveal());
        Assert.Equal("imported-access", Assert.IsType<TokenResult.Token>(await _core.GetAsync(s_id)).AccessToken.Reveal());
        Assert.Empty(_core.Wix.Calls);
    }

    [Fact]
    public async Task Only_a_revived_site_is_no_longer_remembered_as_forgotten()
    {
        _forgotten.Setup(forgotten => forgotten.RemoveAsync(s_id, CancellationToken.None)).Returns(Task.CompletedTask);

        await ImportAsync(s_site);
        _forgotten.Verify(forgotten => forgotten.RemoveAsync(It.IsAny<InstanceId>(), It.IsAny<CancellationToken>()), Times.Never);

        await ForgetAsync();
        Assert.Equal(new ImportResult(ImportOutcome.Imported), await ImportAsync(s_site with { Revive = true }));
        _forgotten.Verify(forgotten => forgotten.RemoveAsync(s_id, CancellationToken.None), Times.Once);
    }

    [Fact]
    public async Task A_revived_site_is_saved_whether_or_not_the_record_that_it_was_forgotten_can_be_removed()
    {
        string? saved = null;
        _forgotten.Setup(forgotten => forgotten.RemoveAsync(s_id, CancellationToken.None)).Returns(async () =>
        {
            saved = await _core.RefreshTokenOfAsync(s_id);
            throw new StorageUnavailableException("The storage is down.");
        });
        await ImportAsync(s_site);
        await ForgetAsync();

        Assert.Equal(new ImportResult(ImportOutcome.Imported), await ImportAsync(s_site with { Revive = true }));

        Assert.Equal("imported-refresh", saved);
        Assert.Equal("imported-refresh", await _core.RefreshTokenOfAsync(s_id));
        Assert.Contains(s_id.ToString(), Assert.Single(_core.Logs.Of(713)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_site_forgotten_at_the_end_of_its_revival_stays_recorded_as_forgotten()
    {
        _forgotten.Setup(forgotten => forgotten.RemoveAsync(s_id, CancellationToken.None)).Returns(ForgetAsync);
        _forgotten.Setup(forgotten => forgotten.AddAsync(s_id, CancellationToken.None)).Returns(Task.CompletedTask);
        await ImportAsync(s_site);
        await ForgetAsync();

        await ImportAsync(s_site with { Revive = true });

        _forgotten.Verify(forgotten => forgotten.AddAsync(s_id, CancellationToken.None), Times.Once);
    }

    [Fact]
    public async Task An_import_that_revived_nothing_leaves_the_record_that_the_site_was_forgotten()
    {
        _core.Wix.Answer = async (path, _, _) =>
        {
            if (path == "/oauth/access")
            {
                await _core.InstallAsync(s_id);
            }

            return Accept(path);
        };

        Assert.Equal(new ImportResult(ImportOutcome.Kept), await ImportAsync(s_site with { Revive = true }));

        _forgotten.VerifyNoOtherCalls();
    }

    [Theory]
    [InlineData(null, 5)]
    [InlineData("4", 5)]
    [InlineData("20", 20)]
    [InlineData("60", 60)]
    [InlineData("3600", 60)]
    public async Task Where_Wix_gives_no_answer_the_caller_waits_as_long_as_Wix_asks_from_5_seconds_to_a_minute(string? retryAfter, int seconds)
    {
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(503, retryAfter));

        Assert.Equal(new ImportResult(ImportOutcome.WixUnavailable, TimeSpan.FromSeconds(seconds)), await ImportAsync(s_site));
        Assert.Null(await _core.Store.FindAsync(s_id, CancellationToken.None));
    }

    [Fact]
    public async Task A_rejected_token_is_logged_and_not_saved()
    {
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(400));

        Assert.Equal(new ImportResult(ImportOutcome.Rejected), await ImportAsync(s_site));

        Assert.Single(_core.Logs.Of(712));
        Assert.Null(await _core.Store.FindAsync(s_id, CancellationToken.None));
    }

    [Fact]
    public async Task A_caller_that_has_gone_spends_no_token()
    {
        using var gone = new CancellationTokenSource();
        await gone.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => ImportAsync(s_site, cancellationToken: gone.Token));

        Assert.Empty(_core.Wix.Calls);
    }

    [Fact]
    public async Task Import_that_changes_nothing_makes_no_call_to_Wix()
    {
        await ImportAsync(s_site);
        _core.Wix.Calls.Clear();

        Assert.Equal(new ImportResult(ImportOutcome.Unchanged), await ImportAsync(s_site, token: "imported-refresh"));
        Assert.Equal(new ImportResult(ImportOutcome.Kept), await ImportAsync(s_site, token: "another-refresh"));
        Assert.Equal(new ImportResult(ImportOutcome.Kept), await ImportAsync(s_site, token: null));

        Assert.Empty(_core.Wix.Calls);
        Assert.Equal("imported-refresh", await _core.RefreshTokenOfAsync(s_id));
    }

    [Fact]
    public async Task Refresh_token_of_a_removed_site_is_not_the_same_token()
    {
        await ImportAsync(s_site);
        var stored = (await _core.Store.FindAsync(s_id, CancellationToken.None))!;
        await _core.Store.TryWriteAsync(stored, stored.Instance with { Status = InstanceStatus.Removed }, CancellationToken.None);

        Assert.Equal(new ImportResult(ImportOutcome.Removed), await ImportAsync(s_site, token: "imported-refresh"));
    }

    [Fact]
    public async Task Refresh_token_whose_key_is_disabled_is_replaced_once_it_is_known_to_be_unreadable()
    {
        var (old, newest) = (FixedKeys.NewKey(), FixedKeys.NewKey());
        using var both = new Core(_core.Store, _core.Clock, keys: new FixedKeys(old, newest));
        await both.InstallAsync(Core.NewId());
        using var sealing = new Core(_core.Store, _core.Clock, keys: new FixedKeys(newest, old));
        var stored = await sealing.InstallAsync(s_id);
        using var without = new Core(_core.Store, _core.Clock, keys: Core.KeyRingOf(newest, disabled: old));
        without.Wix.Answer = _core.Wix.Answer;

        Assert.Equal(new ImportResult(ImportOutcome.Kept), await ImportAsync(s_site, core: without));
        var fault = RejectionPolicy.Observed(null, RefreshTokenFaultKind.Unreadable, _core.Clock.GetUtcNow());
        await _core.Store.TryWriteAsync(stored, stored.Instance with { RefreshTokenFault = fault }, CancellationToken.None);
        Assert.Equal(new ImportResult(ImportOutcome.Refreshed), await ImportAsync(s_site, core: without));

        Assert.Equal("imported-refresh", await without.RefreshTokenOfAsync(s_id));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Site_without_a_refresh_token_is_imported_where_client_credentials_are_allowed(bool fallback)
    {
        using var core = new Core(settings: ("Wix__ClientCredentialsFallback", fallback.ToString()));
        core.Wix.Answer = (path, _, _) => Task.FromResult(Accept(path));

        var result = await ImportAsync(s_site, token: null, core: core);

        Assert.Equal(new ImportResult(fallback ? ImportOutcome.Imported : ImportOutcome.TokenRequired), result);
        Assert.Equal(fallback, await core.Store.FindAsync(s_id, CancellationToken.None) is { Instance.RefreshToken: null });
        Assert.Equal(new ImportResult(fallback ? ImportOutcome.Refreshed : ImportOutcome.Imported), await ImportAsync(s_site, core: core));
    }

    private async Task ForgetAsync()
    {
        var stored = (await _core.Store.FindAsync(s_id, CancellationToken.None))!;
        Assert.NotNull(await _core.Store.TryWriteAsync(stored, Instance.Forget(stored.Instance, s_id, _core.Clock.GetUtcNow()), CancellationToken.None));
    }

    private static HttpResponseMessage Accept(string path) => path switch
    {
        "/oauth2/token" => StubWix.Tokens("access-by-credentials"),
        "/oauth/access" => StubWix.Tokens("imported-access", "imported-refresh"),
        "/oauth2/token-info" => StubWix.Json(
            HttpStatusCode.OK, $$"""{"active":"true","clientId":"11111111-2222-4333-8444-555555555555","instanceId":"{{s_id}}","iat":"1700000000"}"""),
        _ => StubWix.Json(HttpStatusCode.OK, "{}"),
    };

    private Task<ImportResult> ImportAsync(
        ImportedSite site, string? token = "given-refresh", Core? core = null, CancellationToken cancellationToken = default)
    {
        var of = core ?? _core;
        var import = new InstanceImport(
            of.Store,
            of.Writer,
            of.Get<TokenGrants>(),
            of.Get<InstanceConfirmation>(),
            of.Protector,
            of.InstanceTokens,
            of.Schedule,
            _forgotten.Object,
            of.Clock,
            of.Get<ILogger<InstanceImport>>());
        return of.RunAsync(() => import.ImportAsync(s_id, token is null ? null : new RefreshToken(token), site, cancellationToken));
    }
}

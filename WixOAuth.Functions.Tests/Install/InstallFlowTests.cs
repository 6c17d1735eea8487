using WixOAuth.Functions.Tests.Support;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Storage;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Install;

/// <summary>The moments of an install that cannot be provoked from outside.</summary>
public sealed class InstallFlowTests : IDisposable
{
    private static readonly InstanceId Id = Core.NewId();
    private static readonly AuthorizationCode Code = new("the-code");
    private readonly LosingStore _store = new();
    private readonly Core _core;

    public InstallFlowTests()
    {
        _core = new Core(_store);
        _core.Wix.Answer = (path, _, _) => Task.FromResult(path switch
        {
            "/oauth/access" => StubWix.Tokens("access-1", "refresh-1"),
            "/oauth2/token-info" => StubWix.Json(
                System.Net.HttpStatusCode.OK,
                $$"""{"active":"true","clientId":"{{_core.Settings.Wix.AppId}}","instanceId":"{{Id}}","iat":"1700000000"}"""),
            _ => StubWix.Json(System.Net.HttpStatusCode.OK, "{}"),
        });
    }

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task A_redirect_whose_first_process_died_waits_a_bounded_time_and_then_says_to_start_again()
    {
        var request = await BeginAsync();
        await _store.TryAddRedemptionAsync(
            await RedemptionOfAsync(request, "of the process that died"), CancellationToken.None);
        var start = _core.Clock.GetUtcNow();

        var step = await _core.Clock.RunAsync(_core.Flow.CompleteAsync(request, CancellationToken.None));

        Assert.Equal(new InstallStep.Stopped(InstallProblem.WixUnavailable), step);
        Assert.True(_core.Clock.GetUtcNow() - start >= InstallFlow.LongestWait);
        Assert.Empty(_core.Wix.Calls);
    }

    [Theory]
    [InlineData(RedemptionOutcome.Rejected, InstallProblem.Rejected)]
    [InlineData(RedemptionOutcome.WixUnavailable, InstallProblem.WixUnavailable)]
    [InlineData(RedemptionOutcome.StorageUnavailable, InstallProblem.StorageUnavailable)]
    public async Task A_reload_after_a_failed_first_load_gets_the_same_page(RedemptionOutcome outcome, InstallProblem problem)
    {
        var request = await BeginAsync();
        var first = await RedemptionOfAsync(request, "first");
        await _store.TryAddRedemptionAsync(first, CancellationToken.None);
        var reload = _core.Flow.CompleteAsync(request, CancellationToken.None);
        Assert.False(reload.IsCompleted);

        await _store.SaveRedemptionAsync(first with { Outcome = outcome }, CancellationToken.None);

        Assert.Equal(new InstallStep.Stopped(problem), await _core.Clock.RunAsync(reload));
        Assert.Empty(_core.Wix.Calls);
    }

    [Fact]
    public async Task A_redemption_whose_answer_was_lost_is_known_as_our_own()
    {
        var request = await BeginAsync();
        _store.LoseRedemption = true;

        Assert.IsType<InstallStep.CloseWindow>(await _core.Flow.CompleteAsync(request, CancellationToken.None));
    }

    [Fact]
    public async Task A_save_whose_answer_was_lost_is_known_as_our_own()
    {
        var request = await BeginAsync();
        _store.LoseWrites = 1;

        Assert.IsType<InstallStep.CloseWindow>(await _core.Flow.CompleteAsync(request, CancellationToken.None));

        Assert.Equal(1, (await _core.ReadAsync(Id)).Generation);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_save_whose_answer_was_lost_does_not_undo_what_others_made_of_it_since(bool removed)
    {
        var request = await BeginAsync();
        _store.LoseWrites = 1;
        _store.Losing = async stored =>
        {
            var now = _core.Clock.GetUtcNow();
            var granted = new TokenAnswer.Granted(new AccessToken("access-2"), new RefreshToken("refresh-2"), now, now.AddMinutes(5));
            var tokens = await _core.Protector.ProtectAsync(Id, 2, granted, granted.RefreshToken);
            var after = removed ? Instance.Forget(stored.Instance, Id, now) : stored.Instance.Refreshed(Grant.RefreshToken, tokens, "refresh", now);
            Assert.NotNull(await _store.TryWriteAsync(stored, after, CancellationToken.None));
        };

        Assert.IsType<InstallStep.CloseWindow>(await _core.Flow.CompleteAsync(request, CancellationToken.None));

        Assert.Equal(2, (await _core.ReadAsync(Id)).Generation);
        var result = await _core.GetAsync(Id);
        if (removed)
        {
            Assert.IsType<TokenResult.Removed>(result);
            return;
        }

        Assert.Equal("refresh-2", await _core.RefreshTokenOfAsync(Id));
        Assert.Equal("access-2", Assert.IsType<TokenResult.Token>(result).AccessToken.Reveal());
    }

    [Theory]
    [InlineData(-601, "refresh-1")]
    [InlineData(-600, "refresh-newer")]
    [InlineData(-1, "refresh-newer")]
    [InlineData(0, "refresh-1")]
    [InlineData(1, "refresh-1")]
    public async Task Of_two_consents_at_about_one_time_the_newer_one_by_Wixs_clock_stays_whichever_is_saved_last(int secondsLater, string expected)
    {
        var now = _core.Clock.GetUtcNow();
        var newer = new TokenAnswer.Granted(new AccessToken("access-newer"), new RefreshToken("refresh-newer"), now, now.AddMinutes(5));
        var consent = new Consent(null, null, null, DateTimeOffset.FromUnixTimeSeconds(1_700_000_000 - secondsLater), SendSetupCompleted: false);
        await _core.Flow.SaveAsync(Id, consent, newer, newer.RefreshToken!);

        Assert.IsType<InstallStep.CloseWindow>(await _core.Flow.CompleteAsync(await BeginAsync(), CancellationToken.None));

        Assert.Equal(expected, await _core.RefreshTokenOfAsync(Id));
        Assert.Equal(
            expected.Replace("refresh", "access", StringComparison.Ordinal),
            Assert.IsType<TokenResult.Token>(await _core.GetAsync(Id)).AccessToken.Reveal());
    }

    [Fact]
    public async Task A_storage_that_comes_back_soon_after_the_code_was_spent_saves_the_tokens()
    {
        var request = await BeginAsync();
        _store.FailWrites = 4;

        Assert.IsType<InstallStep.CloseWindow>(await _core.Clock.RunAsync(_core.Flow.CompleteAsync(request, CancellationToken.None)));

        Assert.Equal("refresh-1", await _core.RefreshTokenOfAsync(Id));
    }

    [Fact]
    public async Task A_storage_that_stays_away_after_the_code_was_spent_says_so()
    {
        var request = await BeginAsync();
        _store.FailWrites = int.MaxValue;

        var step = await _core.Clock.RunAsync(_core.Flow.CompleteAsync(request, CancellationToken.None), TimeSpan.FromSeconds(1));

        Assert.Equal(new InstallStep.Stopped(InstallProblem.StorageUnavailable), step);
    }

    [Fact]
    public async Task An_outcome_that_cannot_be_noted_does_not_undo_the_install()
    {
        var request = await BeginAsync();
        _store.FailOutcomes = true;

        Assert.IsType<InstallStep.CloseWindow>(await _core.Flow.CompleteAsync(request, CancellationToken.None));
        Assert.Equal("refresh-1", await _core.RefreshTokenOfAsync(Id));
    }

    [Fact]
    public async Task A_browser_that_leaves_after_the_state_was_redeemed_stops_nothing()
    {
        var request = await BeginAsync();
        using var leaving = new CancellationTokenSource();
        var answer = _core.Wix.Answer;
        _core.Wix.Answer = async (path, body, cancellationToken) =>
        {
            await leaving.CancelAsync();
            return await answer(path, body, cancellationToken);
        };

        Assert.IsType<InstallStep.CloseWindow>(await _core.Flow.CompleteAsync(request, leaving.Token));
        Assert.Equal("refresh-1", await _core.RefreshTokenOfAsync(Id));
    }

    [Fact]
    public async Task A_browser_that_leaves_while_the_state_is_redeemed_stops_nothing_either()
    {
        var request = await BeginAsync();
        using var leaving = new CancellationTokenSource();
        _store.Redeeming = leaving.CancelAsync;

        Assert.IsType<InstallStep.CloseWindow>(await _core.Flow.CompleteAsync(request, leaving.Token));
    }

    [Fact]
    public async Task A_row_that_cannot_be_read_is_trouble_at_our_end_and_is_noted()
    {
        var request = await BeginAsync();
        _store.Unreadable = true;

        Assert.Equal(new InstallStep.Stopped(InstallProblem.StorageUnavailable), await _core.Flow.CompleteAsync(request, CancellationToken.None));
        Assert.Equal(new InstallStep.Stopped(InstallProblem.StorageUnavailable), await _core.Flow.CompleteAsync(request, CancellationToken.None));
        Assert.Single(_core.Wix.Calls, call => call.Path == "/oauth/access");
    }

    [Fact]
    public async Task A_reinstall_while_the_set_up_event_is_under_way_waits_for_an_event_of_its_own()
    {
        var request = await BeginAsync();
        var answer = _core.Wix.Answer;
        var reinstalled = false;
        _core.Wix.Answer = async (path, body, cancellationToken) =>
        {
            if (path == "/apps/v1/bi-event" && !reinstalled)
            {
                reinstalled = true;
                var stored = (await _store.FindAsync(Id, CancellationToken.None))!;
                var later = stored.Instance with { Generation = 3, ConsentedAt = _core.Clock.GetUtcNow() + TimeSpan.FromMinutes(1) };
                Assert.NotNull(await _store.TryWriteAsync(stored, later, CancellationToken.None));
            }

            return await answer(path, body, cancellationToken);
        };

        await _core.Flow.CompleteAsync(request, CancellationToken.None);
        await _core.Background.WhenIdleAsync(CancellationToken.None);

        Assert.True(reinstalled);
        Assert.Null((await _core.ReadAsync(Id)).SetupCompletedAt);
        Assert.True((await _core.ReadAsync(Id)).SetupPending);
    }

    private async Task<RedirectRequest> BeginAsync()
    {
        var consent = Assert.IsType<InstallStep.Consent>(await _core.Flow.BeginAsync(new AppUrlRequest(null, null, []), CancellationToken.None));
        var state = Microsoft.AspNetCore.WebUtilities.QueryHelpers.ParseQuery(new Uri(consent.Url.Reveal()).Query)["state"].Single();
        return new RedirectRequest(Code, state, Id.ToString(), false, [KeyValuePair.Create(consent.Set.Name, consent.Set.Value)]);
    }

    private async Task<Redemption> RedemptionOfAsync(RedirectRequest request, string attemptId)
    {
        var (nonce, issuedAt) = (await _core.Tickets.ReadStateAsync(request.State!, CancellationToken.None))!.Value;
        return new Redemption
        {
            Nonce = Convert.ToHexStringLower(nonce),
            IssuedAt = issuedAt,
            AttemptId = attemptId,
            CodeFingerprint = Code.Fingerprint(),
            InstanceId = Id,
        };
    }

    /// <summary>A store that does as it is told and then does not say so, or fails.</summary>
    private sealed class LosingStore : IInstanceStore
    {
        private readonly MemoryInstanceStore _store = new();

        public bool LoseRedemption { get; set; }

        public int LoseWrites { get; set; }

        public Func<StoredInstance, Task> Losing { get; set; } = _ => Task.CompletedTask;

        public int FailWrites { get; set; }

        public bool FailOutcomes { get; set; }

        public Func<Task> Redeeming { get; set; } = () => Task.CompletedTask;

        public bool Unreadable { get; set; }

        public Task InitializeAsync(CancellationToken cancellationToken) => _store.InitializeAsync(cancellationToken);

        public Task<StoredInstance?> FindAsync(InstanceId id, CancellationToken cancellationToken) =>
            Unreadable ? throw new InvalidDataException("of the future") : _store.FindAsync(id, cancellationToken);

        public async Task<StoredInstance?> TryWriteAsync(StoredInstance? previous, Instance instance, CancellationToken cancellationToken)
        {
            if (FailWrites > 0)
            {
                FailWrites--;
                throw new StorageUnavailableException();
            }

            var written = await _store.TryWriteAsync(previous, instance, cancellationToken);
            if (written is null || LoseWrites-- <= 0)
            {
                return written;
            }

            await Losing(written);
            return null;
        }

        public Task<bool> TryRemoveAsync(StoredInstance previous, CancellationToken cancellationToken) => _store.TryRemoveAsync(previous, cancellationToken);

        public IAsyncEnumerable<InstanceId> ReadByStatusAsync(InstanceStatus status, CancellationToken cancellationToken) =>
            _store.ReadByStatusAsync(status, cancellationToken);

        public IAsyncEnumerable<InstanceGlance> ReadGlancesAsync(CancellationToken cancellationToken) => _store.ReadGlancesAsync(cancellationToken);

        public Task<InstancePage> ListAsync(InstanceStatus? status, InstanceId? after, int limit, CancellationToken cancellationToken) =>
            _store.ListAsync(status, after, limit, cancellationToken);

        public IAsyncEnumerable<DueInstance> ReadDueAsync(DateTimeOffset now, CancellationToken cancellationToken) => _store.ReadDueAsync(now, cancellationToken);

        public Task RemoveDueAsync(DueInstance due, CancellationToken cancellationToken) => _store.RemoveDueAsync(due, cancellationToken);

        public async Task<bool> TryAddRedemptionAsync(Redemption redemption, CancellationToken cancellationToken)
        {
            await Redeeming();
            cancellationToken.ThrowIfCancellationRequested();
            return await _store.TryAddRedemptionAsync(redemption, cancellationToken) && !LoseRedemption;
        }

        public Task<Redemption?> FindRedemptionAsync(string nonce, DateTimeOffset issuedAt, CancellationToken cancellationToken) =>
            _store.FindRedemptionAsync(nonce, issuedAt, cancellationToken);

        public Task SaveRedemptionAsync(Redemption redemption, CancellationToken cancellationToken) =>
            FailOutcomes ? throw new StorageUnavailableException() : _store.SaveRedemptionAsync(redemption, cancellationToken);

        public Task<int> RemoveRedemptionsAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
            _store.RemoveRedemptionsAsync(before, limit, cancellationToken);

        public Task<DateTimeOffset?> FindLastUseAsync(InstanceId id, CancellationToken cancellationToken) => _store.FindLastUseAsync(id, cancellationToken);

        public Task SaveLastUseAsync(InstanceId id, DateTimeOffset usedAt, CancellationToken cancellationToken) =>
            _store.SaveLastUseAsync(id, usedAt, cancellationToken);
    }
}

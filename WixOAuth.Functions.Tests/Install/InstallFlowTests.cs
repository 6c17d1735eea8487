using WixOAuth.Functions.Tests.Support;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Secrets;
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
    public async Task The_consent_page_gets_what_Wix_asks_for_and_a_token_only_where_one_came()
    {
        const string AppAndRedirect = "appId=11111111-2222-4333-8444-555555555555&redirectUrl=https%3A%2F%2Ftokens.example.com%2Fapi%2Fredirect&state=";
        var own = Assert.IsType<InstallResult.Consent>(await BeginAtAsync(token: null, start: null));
        var sent = Assert.IsType<InstallResult.Consent>(await BeginAtAsync(token: "a token&", start: null));

        Assert.StartsWith($"https://www.wix.com/installer/install?{AppAndRedirect}", own.Url.Reveal(), StringComparison.Ordinal);
        Assert.StartsWith($"https://www.wix.com/installer/install?token=a%20token%26&{AppAndRedirect}", sent.Url.Reveal(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_oldest_of_more_than_twelve_installs_in_flight_is_dropped()
    {
        var begun = new List<InstallResult.Consent>();
        for (var number = 0; number < InstallStateService.MaxInFlight; number++)
        {
            var consent = (InstallResult.Consent)await BeginAtAsync(token: null, start: null, [.. begun]);
            Assert.Empty(consent.Removed);
            begun.Add(consent);
            _core.Clock.Advance(TimeSpan.FromSeconds(1));
        }

        begun.Reverse();
        Assert.Equal([begun[^1].Set.Name], ((InstallResult.Consent)await BeginAtAsync(token: null, start: null, [.. begun])).Removed);
    }

    [Theory]
    [InlineData("/oauth/access", 400, InstallProblem.Rejected)]
    [InlineData("/oauth/access", 503, InstallProblem.WixUnavailable)]
    [InlineData("/oauth/access", 200, InstallProblem.WixUnavailable)] // no refresh token
    [InlineData("/oauth2/token-info", 503, InstallProblem.WixUnavailable)]
    internal async Task Tokens_that_Wix_does_not_grant_or_confirm_are_not_saved(string path, int status, InstallProblem problem)
    {
        var answer = _core.Wix.Answer;
        _core.Wix.Answer = (asked, body, cancellationToken) => asked == path
            ? Task.FromResult(status == 200 ? StubWix.Tokens("access-1") : StubWix.Status(status))
            : answer(asked, body, cancellationToken);

        var request = await BeginAsync();
        Assert.Equal(new InstallResult.Stopped(problem), await _core.RunAsync(() => _core.Flow.CompleteAsync(request, CancellationToken.None)));
        Assert.Null(await _store.FindAsync(Id, CancellationToken.None));
        Assert.Contains(problem.ToString(), Assert.Single(_core.Logs.Of(207)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Get_App_Instance_decides_where_token_info_has_no_answer(bool isSame)
    {
        var answer = _core.Wix.Answer;
        _core.Wix.Answer = (path, body, cancellationToken) => path switch
        {
            "/oauth2/token-info" => Task.FromResult(StubWix.Json(System.Net.HttpStatusCode.OK, "{}")),
            "/apps/v1/instance" => Task.FromResult(StubWix.Json(System.Net.HttpStatusCode.OK, $$$"""{"instance":{"instanceId":"{{{(isSame ? Id : Core.NewId())}}}"}}""")),
            _ => answer(path, body, cancellationToken),
        };

        var request = await BeginAsync();
        var step = await _core.RunAsync(() => _core.Flow.CompleteAsync(request, CancellationToken.None));

        Assert.Equal(isSame, step is InstallResult.CloseWindow);
        Assert.Equal(isSame ? null : InstallProblem.Rejected, (step as InstallResult.Stopped)?.Problem);
    }

    [Theory]
    [InlineData(1, null)]
    [InlineData(2, InstallProblem.WixUnavailable)]
    internal async Task A_token_that_token_info_calls_inactive_is_asked_about_once_more_while_Get_App_Instance_confirms_it(int inactive, InstallProblem? problem)
    {
        var answer = _core.Wix.Answer;
        _core.Wix.Answer = (path, body, cancellationToken) => path switch
        {
            "/oauth2/token-info" when _core.Wix.CallsTo(path) <= inactive => Task.FromResult(StubWix.Json(System.Net.HttpStatusCode.OK, """{"active":"false"}""")),
            "/apps/v1/instance" => Task.FromResult(StubWix.Json(System.Net.HttpStatusCode.OK, $$$"""{"instance":{"instanceId":"{{{Id}}}"}}""")),
            _ => answer(path, body, cancellationToken),
        };

        var request = await BeginAsync();
        var result = await _core.RunAsync(() => _core.Flow.CompleteAsync(request, CancellationToken.None));

        Assert.Equal(problem, (result as InstallResult.Stopped)?.Problem);
        Assert.Equal(problem is null, await _store.FindAsync(Id, CancellationToken.None) is not null);
        Assert.Equal(2, _core.Wix.CallsTo("/oauth2/token-info"));
        Assert.Equal(1, _core.Wix.CallsTo("/oauth/access"));
    }

    [Fact]
    public async Task A_token_that_Get_App_Instance_says_is_of_another_instance_is_not_saved_though_token_info_confirms_it()
    {
        var answer = _core.Wix.Answer;
        _core.Wix.Answer = (path, body, cancellationToken) => path == "/apps/v1/instance"
            ? Task.FromResult(StubWix.Json(System.Net.HttpStatusCode.OK, $$$"""{"instance":{"instanceId":"{{{Core.NewId()}}}"}}"""))
            : answer(path, body, cancellationToken);

        var request = await BeginAsync();
        var result = await _core.RunAsync(() => _core.Flow.CompleteAsync(request, CancellationToken.None));

        Assert.Equal(new InstallResult.Stopped(InstallProblem.Rejected), result);
        Assert.Null(await _store.FindAsync(Id, CancellationToken.None));
    }

    [Fact]
    public async Task A_reload_gets_the_same_while_the_access_token_lives_and_no_code_is_spent_again()
    {
        var request = await BeginAsync();
        var first = Assert.IsType<InstallResult.CloseWindow>(await _core.Flow.CompleteAsync(request, CancellationToken.None));
        Assert.Equal("access-1", _core.Memory.Find(Id, _core.Clock.GetUtcNow())?.AccessToken.Reveal());
        await _core.Background.WhenIdleAsync(CancellationToken.None);
        Assert.Single(_core.Logs.Of(204));

        _core.Clock.Advance(TimeSpan.FromMinutes(5) - TimeSpan.FromTicks(1));
        Assert.Equal(first, await _core.Flow.CompleteAsync(request, CancellationToken.None));
        _core.Clock.Advance(TimeSpan.FromTicks(1));
        Assert.IsType<InstallResult.Connected>(await _core.Flow.CompleteAsync(request, CancellationToken.None));
        Assert.Single(_core.Wix.Calls, call => call.Body?.TryGetProperty("code", out _) is true);
        Assert.Contains("Connected", Assert.Single(_core.Logs.Of(201)), StringComparison.Ordinal);
        Assert.Empty(_core.Logs.Of(203));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task The_state_with_another_code_or_another_instance_is_a_replay(bool otherCode)
    {
        var request = await BeginAsync();
        await _core.Flow.CompleteAsync(request, CancellationToken.None);
        var replay = otherCode ? request with { Code = new AuthorizationCode("another") } : request with { InstanceId = Core.NewId().ToString() };

        Assert.Equal(new InstallResult.Stopped(InstallProblem.ReplayedState), await _core.Flow.CompleteAsync(replay, CancellationToken.None));
        Assert.Single(_core.Logs.Of(203));
        Assert.Single(_core.Wix.Calls, call => call.Body?.TryGetProperty("code", out _) is true);
    }

    [Fact]
    public async Task A_completed_set_up_is_not_sent_again_and_a_rejected_one_is_logged()
    {
        _core.Wix.Answer = (path, _, _) => Task.FromResult(path == "/apps/v1/bi-event" ? StubWix.Status(503) : StubWix.Tokens("access-2"));
        await _core.InstallAsync(Id);
        Assert.Equal(WixResponseKind.Unavailable, (await _core.RunAsync(() => _core.Setup.CompleteAsync(Id, CancellationToken.None))).Delivery);
        Assert.Single(_core.Logs.Of(205));
        Assert.Empty(_core.Logs.Of(204));

        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Json(System.Net.HttpStatusCode.OK, "{}"));
        _core.Wix.Calls.Clear();
        Assert.Equal(WixResponseKind.Success, (await _core.Setup.CompleteAsync(Id, CancellationToken.None)).Delivery);
        Assert.Equal(WixResponseKind.Success, (await _core.Setup.CompleteAsync(Id, CancellationToken.None)).Delivery);
        Assert.Single(_core.Wix.Calls, call => call.Path == "/apps/v1/bi-event");
        Assert.Single(_core.Logs.Of(204));
    }

    [Fact]
    public async Task A_redirect_whose_first_process_died_waits_for_a_bounded_time_and_then_asks_to_start_again()
    {
        var request = await BeginAsync();
        await _store.TryAddConsumedStateAsync(
            await ConsumedStateOfAsync(request, "of the process that died"), CancellationToken.None);
        var start = _core.Clock.GetUtcNow();

        var step = await _core.RunAsync(() => _core.Flow.CompleteAsync(request, CancellationToken.None));

        Assert.Equal(new InstallResult.Stopped(InstallProblem.WixUnavailable) { IsRepeated = true }, step);
        Assert.True(_core.Clock.GetUtcNow() - start >= RepeatedRedirects.LongestWait);

        // Often at first, then once a second.
        Assert.InRange(_store.Polls, 28, 32);
        Assert.Empty(_core.Wix.Calls);
    }

    [Theory]
    [InlineData(ConsumedStateOutcome.Rejected, InstallProblem.Rejected)]
    [InlineData(ConsumedStateOutcome.WixUnavailable, InstallProblem.WixUnavailable)]
    [InlineData(ConsumedStateOutcome.StorageUnavailable, InstallProblem.StorageUnavailable)]
    internal async Task A_reload_after_a_failed_first_load_gets_the_same_page(ConsumedStateOutcome outcome, InstallProblem problem)
    {
        var request = await BeginAsync();
        var first = await ConsumedStateOfAsync(request, "first");
        await _store.TryAddConsumedStateAsync(first, CancellationToken.None);
        var reload = _core.Begin(() => _core.Flow.CompleteAsync(request, CancellationToken.None));
        await SingleThreadSynchronizationContext.SettleAsync(isBusy: () => false);
        Assert.False(reload.IsCompleted);

        await _store.SaveConsumedStateAsync(first with { Outcome = outcome }, CancellationToken.None);

        Assert.Equal(new InstallResult.Stopped(problem) { IsRepeated = true }, await _core.Clock.RunAsync(reload));
        Assert.Empty(_core.Wix.Calls);
    }

    [Fact]
    public async Task A_reload_after_an_unexpected_failure_does_not_wait_for_an_outcome()
    {
        (_store.LoseWrites, _store.Losing) = (1, _ => throw new InvalidOperationException("not expected"));
        var request = await BeginAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => _core.RunAsync(() => _core.Flow.CompleteAsync(request, CancellationToken.None)));

        var reload = await _core.RunAsync(() => _core.Flow.CompleteAsync(request, CancellationToken.None));

        Assert.Equal(InstallProblem.StorageUnavailable, Assert.IsType<InstallResult.Stopped>(reload).Problem);
        Assert.Equal(1, _store.Polls);
        Assert.Single(_core.Wix.Calls, call => call.Body?.TryGetProperty("code", out _) is true);
    }

    [Fact]
    public async Task A_failure_is_measured_once_however_often_the_redirect_is_loaded_again()
    {
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(503));
        using var measured = new Measured(_core);
        var request = await BeginAsync();

        for (var load = 1; load <= 4; load++)
        {
            var result = await _core.RunAsync(() => _core.Flow.CompleteAsync(request, CancellationToken.None));
            Assert.Equal(InstallProblem.WixUnavailable, Assert.IsType<InstallResult.Stopped>(result).Problem);
        }

        Assert.Equal(new() { ["outcome=wix_unavailable"] = 1, ["outcome=repeated"] = 3 }, measured.CountsOf("wixoauth.redirect.duration"));
    }

    [Fact]
    public async Task A_redemption_whose_answer_was_lost_is_known_as_our_own()
    {
        var request = await BeginAsync();
        _store.LoseConsumedState = true;

        Assert.IsType<InstallResult.CloseWindow>(await _core.Flow.CompleteAsync(request, CancellationToken.None));
    }

    [Fact]
    public async Task A_save_whose_answer_was_lost_is_known_as_our_own()
    {
        var request = await BeginAsync();
        _store.LoseWrites = 1;

        Assert.IsType<InstallResult.CloseWindow>(await _core.Flow.CompleteAsync(request, CancellationToken.None));

        Assert.Equal(1, (await _core.ReadAsync(Id)).Generation);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_save_whose_response_was_lost_does_not_undo_later_changes(bool removed)
    {
        var request = await BeginAsync();
        _store.LoseWrites = 1;
        _store.Losing = async stored =>
        {
            var now = _core.Clock.GetUtcNow();
            var granted = new TokenAnswer.Granted(new AccessToken("access-2"), new RefreshToken("refresh-2"), now, now.AddMinutes(5));
            var tokens = await _core.InstanceTokens.SealAsync(Id, 2, granted, granted.RefreshToken);
            var after = removed ? Instance.Forget(stored.Instance, Id, now) : stored.Instance.Refreshed(Grant.RefreshToken, tokens, null, "refresh", now);
            Assert.NotNull(await _store.TryWriteAsync(stored, after, CancellationToken.None));
        };

        Assert.IsType<InstallResult.CloseWindow>(await _core.Flow.CompleteAsync(request, CancellationToken.None));

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
    public async Task The_newer_of_two_concurrent_consents_by_Wixs_clock_stays_whichever_is_saved_last(int secondsLater, string expected)
    {
        var now = _core.Clock.GetUtcNow();
        var newer = new TokenAnswer.Granted(new AccessToken("access-newer"), new RefreshToken("refresh-newer"), now, now.AddMinutes(5));
        var consent = new Consent(null, null, null, DateTimeOffset.FromUnixTimeSeconds(1_700_000_000 - secondsLater), SendSetupCompleted: false);
        await _core.Get<ConsentSaver>().SaveAsync(Id, consent, newer, newer.RefreshToken!);

        Assert.IsType<InstallResult.CloseWindow>(await _core.Flow.CompleteAsync(await BeginAsync(), CancellationToken.None));

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

        Assert.IsType<InstallResult.CloseWindow>(await _core.RunAsync(() => _core.Flow.CompleteAsync(request, CancellationToken.None)));

        Assert.Equal("refresh-1", await _core.RefreshTokenOfAsync(Id));
    }

    [Fact]
    public async Task A_storage_that_stays_away_after_the_code_was_spent_says_so()
    {
        var request = await BeginAsync();
        _store.FailWrites = int.MaxValue;

        var step = await _core.RunAsync(() => _core.Flow.CompleteAsync(request, CancellationToken.None), TimeSpan.FromSeconds(1));

        Assert.Equal(new InstallResult.Stopped(InstallProblem.StorageUnavailable), step);
        Assert.Single(_core.Logs.Of(206));
    }

    [Fact]
    public async Task An_outcome_that_cannot_be_noted_does_not_undo_the_install()
    {
        var request = await BeginAsync();
        _store.FailOutcomes = true;

        Assert.IsType<InstallResult.CloseWindow>(await _core.Flow.CompleteAsync(request, CancellationToken.None));
        Assert.Equal("refresh-1", await _core.RefreshTokenOfAsync(Id));
        Assert.Single(_core.Logs.Of(202));
    }

    [Fact]
    public async Task Outcomes_that_cannot_be_noted_are_logged_once_a_minute_without_the_id_that_the_browser_named()
    {
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(400));
        _store.FailOutcomes = true;

        for (var each = 0; each < 3; each++)
        {
            var request = await BeginAsync();
            Assert.IsType<InstallResult.Stopped>(await _core.Flow.CompleteAsync(request, CancellationToken.None));
        }

        Assert.DoesNotContain(Id.ToString(), Assert.Single(_core.Logs.Of(202)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_browser_that_leaves_after_the_state_was_redeemed_does_not_stop_the_install()
    {
        var request = await BeginAsync();
        using var leaving = new CancellationTokenSource();
        var answer = _core.Wix.Answer;
        _core.Wix.Answer = async (path, body, cancellationToken) =>
        {
            await leaving.CancelAsync();
            return await answer(path, body, cancellationToken);
        };

        Assert.IsType<InstallResult.CloseWindow>(await _core.Flow.CompleteAsync(request, leaving.Token));
        Assert.Equal("refresh-1", await _core.RefreshTokenOfAsync(Id));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_browser_that_leaves_while_the_state_is_redeemed_does_not_stop_the_install(bool isAnswerLost)
    {
        var request = await BeginAsync();
        using var leaving = new CancellationTokenSource();
        _store.Redeeming = leaving.CancelAsync;
        _store.LoseConsumedState = isAnswerLost;

        Assert.IsType<InstallResult.CloseWindow>(await _core.Flow.CompleteAsync(request, leaving.Token));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_row_that_cannot_be_read_ends_the_install_before_its_code_is_spent_and_the_outcome_is_recorded(bool isUnreadable)
    {
        var request = await BeginAsync();
        _store.ReadFailure = isUnreadable ? new InvalidDataException("of the future") : new StorageUnavailableException("The storage is down.");

        for (var load = 0; load < 2; load++)
        {
            var result = await _core.RunAsync(() => _core.Flow.CompleteAsync(request, CancellationToken.None), TimeSpan.FromSeconds(1));
            Assert.Equal(new InstallResult.Stopped(InstallProblem.StorageUnavailable) { IsRepeated = load > 0 }, result);
        }

        Assert.Empty(_core.Wix.Calls);

        // Nothing is lost, so nothing is reported as lost.
        Assert.Empty(_core.Logs.Of(206));
        Assert.Single(_core.Logs.Of(207));
    }

    [Fact]
    public async Task The_row_of_a_known_site_is_read_once()
    {
        await _core.InstallAsync(Id);
        var request = await BeginAsync();

        Assert.IsType<InstallResult.CloseWindow>(await _core.Flow.CompleteAsync(request, CancellationToken.None));

        Assert.Equal(1, _store.Reads);
    }

    [Fact]
    public async Task A_reinstall_while_the_set_up_event_is_being_sent_needs_its_own_event()
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

    [Fact]
    public async Task A_removal_while_the_set_up_event_is_being_sent_leaves_the_tombstone_as_it_is()
    {
        var request = await BeginAsync();
        var answer = _core.Wix.Answer;
        Instance? tombstone = null;
        _core.Wix.Answer = async (path, body, cancellationToken) =>
        {
            if (path == "/apps/v1/bi-event" && tombstone is null)
            {
                var stored = (await _store.FindAsync(Id, CancellationToken.None))!;
                tombstone = (await _store.TryWriteAsync(stored, Instance.Forget(stored.Instance, Id, _core.Clock.GetUtcNow()), CancellationToken.None))!.Instance;
            }

            return await answer(path, body, cancellationToken);
        };

        await _core.Flow.CompleteAsync(request, CancellationToken.None);
        await _core.Background.WhenIdleAsync(CancellationToken.None);

        Assert.NotNull(tombstone);
        Assert.Equal(tombstone, await _core.ReadAsync(Id));
    }

    [Fact]
    public async Task Repeats_that_wait_for_the_first_keep_no_other_install_from_its_turn()
    {
        var request = await BeginAsync();
        await _store.TryAddConsumedStateAsync(await ConsumedStateOfAsync(request, "of another process"), CancellationToken.None);
        var repeats = Enumerable.Range(0, ExchangeLimiter.MaxConcurrent * 2)
            .Select(_ => _core.Begin(() => _core.Flow.CompleteAsync(request, CancellationToken.None)))
            .ToList();
        await SingleThreadSynchronizationContext.SettleAsync(isBusy: () => false);

        var other = await BeginAsync();
        Assert.IsType<InstallResult.CloseWindow>(await _core.RunAsync(() => _core.Flow.CompleteAsync(other, CancellationToken.None)));

        Assert.All(await _core.Clock.RunAsync(Task.WhenAll(repeats)), repeat => Assert.Equal(new InstallResult.Stopped(InstallProblem.WixUnavailable) { IsRepeated = true }, repeat));
    }

    [Fact]
    public async Task A_redemption_of_a_link_whose_answer_was_lost_is_known_as_our_own()
    {
        var link = await _core.Links.ReadAsync((await _core.Links.IssueAsync("acme", displayName: null, CancellationToken.None)).Start, CancellationToken.None);
        _store.LoseConsumedState = true;

        Assert.True(await _core.Links.TryRedeemAsync(link!, CancellationToken.None));
        Assert.False(await _core.Links.TryRedeemAsync(link!, CancellationToken.None));
    }

    [Theory]
    [InlineData("acme", 0)]
    [InlineData("another", 1)]
    [InlineData(null, 0)]
    public async Task Only_a_consent_for_another_customer_is_logged_as_a_conflict(string? customer, int lines)
    {
        var now = _core.Clock.GetUtcNow();
        var granted = new TokenAnswer.Granted(new AccessToken("access-1"), null, now, now.AddMinutes(5));
        var saver = _core.Get<ConsentSaver>();
        await saver.SaveAsync(Id, new Consent("acme", null, null, null, false), granted, new RefreshToken("refresh-1"));

        var saved = await saver.SaveAsync(Id, new Consent(customer, null, null, null, false), granted, new RefreshToken("refresh-2"));

        Assert.Equal("acme", saved.Instance.Customer);
        Assert.Equal("refresh-2", await _core.RefreshTokenOfAsync(Id));
        Assert.Equal(lines, _core.Logs.Of(208).Count);
    }

    [Fact]
    public async Task A_consent_that_is_not_saved_is_not_logged_as_a_conflict()
    {
        var now = _core.Clock.GetUtcNow();
        var granted = new TokenAnswer.Granted(new AccessToken("access-1"), null, now, now.AddMinutes(5));
        var saver = _core.Get<ConsentSaver>();
        await saver.SaveAsync(Id, new Consent("acme", null, null, now, false), granted, new RefreshToken("refresh-1"));

        await saver.SaveAsync(Id, new Consent("another", null, null, now.AddSeconds(-1), false), granted, new RefreshToken("refresh-2"));

        Assert.Equal("refresh-1", await _core.RefreshTokenOfAsync(Id));
        Assert.Empty(_core.Logs.Of(208));
    }

    private Task<InstallResult> BeginAtAsync(string? token, string? start, params InstallResult.Consent[] inFlight) => _core.Start.BeginAsync(
        new AppUrlRequest(token is null ? null : new InstallToken(token), start, [.. inFlight.Select(consent => KeyValuePair.Create(consent.Set.Name, consent.Set.Value))]),
        CancellationToken.None);

    private async Task<RedirectRequest> BeginAsync() => RequestOf(Assert.IsType<InstallResult.Consent>(await BeginAtAsync(token: null, start: null)));

    private static RedirectRequest RequestOf(InstallResult.Consent consent)
    {
        var state = Microsoft.AspNetCore.WebUtilities.QueryHelpers.ParseQuery(new Uri(consent.Url.Reveal()).Query)["state"].Single();
        return new RedirectRequest(Code, state, Id.ToString(), false, [KeyValuePair.Create(consent.Set.Name, consent.Set.Value)]);
    }

    private async Task<ConsumedState> ConsumedStateOfAsync(RedirectRequest request, string attemptId)
    {
        var (nonce, issuedAt) = (await _core.States.ReadStateAsync(request.State!, CancellationToken.None))!.Value;
        return new ConsumedState
        {
            Nonce = Convert.ToHexStringLower(nonce),
            IssuedAt = issuedAt,
            AttemptId = attemptId,
            CodeFingerprint = Code.Fingerprint(),
            InstanceId = Id,
        };
    }

    /// <summary>A store that writes and then loses the response, or fails.</summary>
    private sealed class LosingStore : IInstanceStore, IConsumedStateStore
    {
        private readonly MemoryInstanceStore _store = new();

        public bool LoseConsumedState { get; set; }

        public int LoseWrites { get; set; }

        public Func<StoredInstance, Task> Losing { get; set; } = _ => Task.CompletedTask;

        public int FailWrites { get; set; }

        public bool FailOutcomes { get; set; }

        public Func<Task> Redeeming { get; set; } = () => Task.CompletedTask;

        public Exception? ReadFailure { get; set; }

        public int Reads { get; private set; }

        public Task InitializeAsync(CancellationToken cancellationToken) => _store.InitializeAsync(cancellationToken);

        public Task<StoredInstance?> FindAsync(InstanceId id, CancellationToken cancellationToken)
        {
            Reads++;
            return ReadFailure is null ? _store.FindAsync(id, cancellationToken) : throw ReadFailure;
        }

        public async Task<StoredInstance?> TryWriteAsync(StoredInstance? previous, Instance instance, CancellationToken cancellationToken)
        {
            if (FailWrites > 0)
            {
                FailWrites--;
                throw new StorageUnavailableException("The storage is down.");
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

        public IAsyncEnumerable<InstanceSummary> ReadSummariesAsync(CancellationToken cancellationToken) => _store.ReadSummariesAsync(cancellationToken);

        public Task<InstancePage> ListAsync(InstanceStatus? status, InstanceId? after, int limit, CancellationToken cancellationToken, string? customer = null) =>
            _store.ListAsync(status, after, limit, cancellationToken, customer);

        public IAsyncEnumerable<DueInstance> ReadDueAsync(DateTimeOffset now, CancellationToken cancellationToken) => _store.ReadDueAsync(now, cancellationToken);

        public Task RemoveDueAsync(DueInstance due, CancellationToken cancellationToken) => _store.RemoveDueAsync(due, cancellationToken);

        public async Task<bool> TryAddConsumedStateAsync(ConsumedState consumed, CancellationToken cancellationToken)
        {
            await Redeeming();
            cancellationToken.ThrowIfCancellationRequested();
            return await _store.TryAddConsumedStateAsync(consumed, cancellationToken) && !LoseConsumedState;
        }

        public int Polls { get; private set; }

        public Task<ConsumedState?> FindConsumedStateAsync(string nonce, DateTimeOffset issuedAt, CancellationToken cancellationToken)
        {
            Polls++;
            return _store.FindConsumedStateAsync(nonce, issuedAt, cancellationToken);
        }

        public Task SaveConsumedStateAsync(ConsumedState consumed, CancellationToken cancellationToken) =>
            FailOutcomes ? throw new StorageUnavailableException("The storage is down.") : _store.SaveConsumedStateAsync(consumed, cancellationToken);

        public Task<int> RemoveConsumedStatesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
            _store.RemoveConsumedStatesAsync(before, limit, cancellationToken);

        public Task<DateTimeOffset?> FindLastUseAsync(InstanceId id, CancellationToken cancellationToken) => _store.FindLastUseAsync(id, cancellationToken);

        public Task SaveLastUseAsync(InstanceId id, DateTimeOffset usedAt, CancellationToken cancellationToken) =>
            _store.SaveLastUseAsync(id, usedAt, cancellationToken);
    }
}

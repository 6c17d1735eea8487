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
    private readonly WatchedStore _store = new(new MemoryInstanceStore());
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
    public async Task A_completed_set_up_is_not_sent_again_and_one_without_an_answer_is_logged()
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
        Assert.InRange(_store.CallsTo(nameof(_store.FindConsumedStateAsync)), 28, 32);
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
        _store.LosesAnswer = method => method == nameof(_store.TryWriteAsync) ? throw new InvalidOperationException("not expected") : Task.FromResult(false);
        var request = await BeginAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => _core.RunAsync(() => _core.Flow.CompleteAsync(request, CancellationToken.None)));

        var reload = await _core.RunAsync(() => _core.Flow.CompleteAsync(request, CancellationToken.None));

        Assert.Equal(InstallProblem.StorageUnavailable, Assert.IsType<InstallResult.Stopped>(reload).Problem);
        Assert.Equal(1, _store.CallsTo(nameof(_store.FindConsumedStateAsync)));
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
        LoseAnswerOf(nameof(_store.TryAddConsumedStateAsync));

        Assert.IsType<InstallResult.CloseWindow>(await _core.Flow.CompleteAsync(request, CancellationToken.None));
    }

    [Fact]
    public async Task A_save_whose_answer_was_lost_is_known_as_our_own()
    {
        var request = await BeginAsync();
        LoseAnswerOf(nameof(_store.TryWriteAsync));

        Assert.IsType<InstallResult.CloseWindow>(await _core.Flow.CompleteAsync(request, CancellationToken.None));

        Assert.Equal(1, (await _core.ReadAsync(Id)).Generation);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_save_whose_response_was_lost_does_not_undo_later_changes(bool removed)
    {
        var request = await BeginAsync();
        LoseAnswerOf(nameof(_store.TryWriteAsync), async () =>
        {
            var stored = (await _store.FindAsync(Id, CancellationToken.None))!;
            var now = _core.Clock.GetUtcNow();
            var granted = new TokenAnswer.Granted(new AccessToken("access-2"), new RefreshToken("refresh-2"), now, now.AddMinutes(5));
            var tokens = await _core.InstanceTokens.SealAsync(Id, 2, granted, granted.RefreshToken);
            var after = removed ? Instance.Forget(stored.Instance, Id, now) : stored.Instance.Refreshed(Grant.RefreshToken, tokens, null, "refresh", now);
            Assert.NotNull(await _store.TryWriteAsync(stored, after, CancellationToken.None));
        });

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
        Fail(nameof(_store.TryWriteAsync), times: 4);

        Assert.IsType<InstallResult.CloseWindow>(await _core.RunAsync(() => _core.Flow.CompleteAsync(request, CancellationToken.None)));

        Assert.Equal("refresh-1", await _core.RefreshTokenOfAsync(Id));
    }

    [Fact]
    public async Task A_storage_that_stays_away_after_the_code_was_spent_says_so()
    {
        var request = await BeginAsync();
        Fail(nameof(_store.TryWriteAsync));

        var step = await _core.RunAsync(() => _core.Flow.CompleteAsync(request, CancellationToken.None), TimeSpan.FromSeconds(1));

        Assert.Equal(new InstallResult.Stopped(InstallProblem.StorageUnavailable), step);
        Assert.Single(_core.Logs.Of(206));
    }

    [Fact]
    public async Task An_outcome_that_cannot_be_noted_does_not_undo_the_install()
    {
        var request = await BeginAsync();
        Fail(nameof(_store.SaveConsumedStateAsync));

        Assert.IsType<InstallResult.CloseWindow>(await _core.Flow.CompleteAsync(request, CancellationToken.None));
        Assert.Equal("refresh-1", await _core.RefreshTokenOfAsync(Id));
        Assert.Single(_core.Logs.Of(202));
    }

    [Fact]
    public async Task Outcomes_that_cannot_be_noted_are_logged_once_a_minute_without_the_id_that_the_browser_named()
    {
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(400));
        Fail(nameof(_store.SaveConsumedStateAsync));

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
        _store.Before = (method, _) => method == nameof(_store.TryAddConsumedStateAsync) ? leaving.CancelAsync() : Task.CompletedTask;
        if (isAnswerLost)
        {
            LoseAnswerOf(nameof(_store.TryAddConsumedStateAsync));
        }

        Assert.IsType<InstallResult.CloseWindow>(await _core.Flow.CompleteAsync(request, leaving.Token));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_row_that_cannot_be_read_ends_the_install_before_its_code_is_spent_and_the_outcome_is_recorded(bool isUnreadable)
    {
        var request = await BeginAsync();
        Fail(nameof(_store.FindAsync), isUnreadable ? new InvalidDataException("of the future") : null);

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

        Assert.Equal(1, _store.CallsTo(nameof(_store.FindAsync)));
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
        LoseAnswerOf(nameof(_store.TryAddConsumedStateAsync));

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

    private void Fail(string call, Exception? failure = null, int times = int.MaxValue) => _store.Before = (method, _) =>
        method == call && times-- > 0 ? throw failure ?? new StorageUnavailableException("The storage is down.") : Task.CompletedTask;

    /// <summary>The first of these calls is carried out, and its answer is lost.</summary>
    private void LoseAnswerOf(string call, Func<Task>? meanwhile = null)
    {
        var isLost = false;
        _store.LosesAnswer = async method =>
        {
            if (method != call || isLost)
            {
                return false;
            }

            isLost = true;
            await (meanwhile?.Invoke() ?? Task.CompletedTask);
            return true;
        };
    }

    private async Task<RedirectRequest> BeginAsync() => RequestOf(Assert.IsType<InstallResult.Consent>(
        await _core.Start.BeginAsync(token: null, start: null, [], CancellationToken.None)));

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
}

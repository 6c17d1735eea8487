using System.Net;
using System.Security.Cryptography;
using System.Text;
using WixOAuth.Functions.Tests.Protection;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Tokens;

/// <summary>No refresh token is lost to a rejection, a wrong key, a clock or an outage, and every conclusion heals.</summary>
public sealed class CustodyTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private readonly MemoryInstanceStore _store = new();
    private readonly Core _core;

    public CustodyTests() => _core = new Core(_store);

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task An_HTML_rejection_of_every_refresh_loses_no_refresh_token()
    {
        var ids = await InstallAsync(60);
        _core.Clock.Advance(TimeSpan.FromMinutes(4));
        _core.Wix.Answer = (path, _, _) => Task.FromResult(path == "/oauth/access" ? Html(403) : StubWix.Tokens("by-credentials", expiresIn: 14_400));

        await _core.Clock.RunAsync(_core.Sweep.RunAsync(None));
        await _core.GetAsync(ids[0], TokenRequirements.New);

        await AssertAllKeptAsync(ids);
    }

    [Fact]
    public async Task A_rejected_refresh_token_is_kept_and_comes_back_into_use_within_a_day()
    {
        var ids = await InstallAsync(10);
        _core.Clock.Advance(TimeSpan.FromMinutes(4));
        RejectRefreshTokens();
        await SweepAsync(TimeSpan.FromMinutes(60));

        Assert.All(await ReadAsync(ids), instance => Assert.Equal(
            (InstanceStatus.Active, Grant.RefreshToken, Grant.ClientCredentials, RefreshTokenState.Rejected, null),
            (instance.Status, instance.Grant, instance.CurrentGrant, instance.RefreshTokenState, instance.Failures)));
        await AssertAllKeptAsync(ids);
        Assert.Equal(10, _core.Logs.Of(426).Count);

        GrantAll();
        await SweepAsync(TimeSpan.FromHours(25), TimeSpan.FromMinutes(5));
        Assert.All(await ReadAsync(ids), instance => Assert.Equal((Grant.RefreshToken, RefreshTokenState.Ok), (instance.CurrentGrant, instance.RefreshTokenState)));
        await AssertAllKeptAsync(ids);
    }

    [Fact]
    public async Task An_operator_tries_the_refresh_token_first_whatever_backoff_says()
    {
        var id = (await InstallAsync(1))[0];
        RejectRefreshTokens();
        await _core.GetAsync(id, TokenRequirements.New);
        await _core.GetAsync(id, TokenRequirements.New);
        Assert.NotNull((await _core.ReadAsync(id)).RefreshTokenFault!.RetryAt);

        GrantAll();
        _core.Wix.Calls.Clear();
        Assert.IsType<TokenResult.Token>(await _core.GetAsync(id, TokenRequirements.New));

        Assert.Equal("/oauth/access", Assert.Single(_core.Wix.Calls).Path);
        Assert.Equal(Grant.RefreshToken, (await _core.ReadAsync(id)).CurrentGrant);
        Assert.Contains($"{id}", Assert.Single(_core.Logs.Of(427)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Refresh_token_in_an_answer_to_client_credentials_does_not_replace_the_stored_one()
    {
        var id = (await InstallAsync(1))[0];
        _core.Wix.Answer = (path, _, _) => Task.FromResult(path == "/oauth/access" ? StubWix.Status(403) : StubWix.Tokens("by-credentials", "another-refresh"));

        Assert.IsType<TokenResult.Token>(await _core.GetAsync(id, TokenRequirements.New));

        Assert.Equal("refresh-0", await _core.RefreshTokenOfAsync(id));
        Assert.Single(_core.Logs.Of(426));
        Assert.Empty(_core.Logs.Of(427));
    }

    [Fact]
    public async Task Without_the_fallback_a_site_without_a_refresh_token_is_marked_and_one_whose_token_cannot_be_opened_is_not()
    {
        using var core = new Core(_store, _core.Clock, settings: ("Wix__ClientCredentialsFallback", "false"));
        var (none, unreadable) = (Core.NewId(), Core.NewId());
        await ChangeAsync(none, instance => instance with { RefreshToken = null, Grant = Grant.ClientCredentials });
        await ChangeAsync(unreadable, instance => instance with { RefreshToken = new ProtectedText(new string('0', 32), instance.RefreshToken!.Data) });

        await core.GetAsync(none, TokenRequirements.New);
        await core.GetAsync(unreadable, TokenRequirements.New);

        Assert.Equal((InstanceStatus.ReinstallRequired, TokenError.Rejected), await EndOfAsync(none));
        Assert.Equal((InstanceStatus.Active, TokenError.Undecryptable), await EndOfAsync(unreadable));
        Assert.Empty(core.Wix.Calls);

        async Task ChangeAsync(InstanceId id, Func<Instance, Instance> change)
        {
            var stored = await core.InstallAsync(id);
            await _store.TryWriteAsync(stored, change(stored.Instance), None);
        }

        async Task<(InstanceStatus Status, TokenError? Error)> EndOfAsync(InstanceId id) =>
            await core.ReadAsync(id) is var instance ? (instance.Status, instance.Failures?.LastError) : default;
    }

    [Fact]
    public async Task With_the_fallback_switched_off_nothing_is_requested_by_client_credentials_whatever_happened_before()
    {
        var id = (await InstallAsync(1))[0];
        RejectRefreshTokens();
        await _core.GetAsync(id, TokenRequirements.New);
        var clone = Core.NewId();
        await _core.Life.InstalledAsync(clone, _core.Clock.GetUtcNow(), None);
        await _core.GetAsync(clone);

        using var strict = new Core(_store, _core.Clock, settings: ("Wix__ClientCredentialsFallback", "false"));
        strict.Wix.Answer = _core.Wix.Answer;
        strict.Clock.Advance(TimeSpan.FromHours(5));
        Assert.IsType<TokenResult.WixUnavailable>(await strict.GetAsync(id));
        Assert.IsType<TokenResult.ReinstallRequired>(await strict.GetAsync(clone));
        await strict.Sweep.RunAsync(None).WaitAsync(SingleThreadSynchronizationContext.Patience);

        Assert.Equal(0, strict.Wix.CallsTo("/oauth2/token"));
        Assert.Equal("refresh-0", await strict.RefreshTokenOfAsync(id));

        // Switched on again, the clone is served again.
        _core.Clock.Advance(RejectionPolicy.BetweenCallersTries);
        Assert.IsType<TokenResult.Token>(await _core.GetAsync(clone));

        // Wix was not asked, so it rejected nothing.
        Assert.Equal(0, _core.Get<FalseRejections>().Recent);
    }

    [Fact]
    public async Task A_process_with_the_wrong_protection_key_changes_no_row_and_the_right_key_still_opens_them()
    {
        var ids = await InstallAsync(5);
        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        var before = await ReadAsync(ids);
        using (var wrong = new Core(_store, _core.Clock, settings: ("Tokens__ProtectionKey", Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)))))
        {
            wrong.Wix.Answer = (path, _, _) => Task.FromResult(path == "/oauth2/token" ? StubWix.Tokens("by-credentials", expiresIn: 14_400) : StubWix.Status(400));
            foreach (var id in ids)
            {
                Assert.Equal("by-credentials", Assert.IsType<TokenResult.Token>(await wrong.GetAsync(id)).AccessToken.Reveal());
            }

            await wrong.Sweep.RunAsync(None).WaitAsync(SingleThreadSynchronizationContext.Patience);
        }

        Assert.Equal(before, await ReadAsync(ids));
        GrantAll();
        Assert.IsType<TokenResult.Token>(await _core.GetAsync(ids[0]));
        await AssertAllKeptAsync(ids);
    }

    [Fact]
    public async Task A_refresh_token_whose_key_is_missing_for_a_while_stays_sealed_as_it_was_and_is_used_when_the_key_is_back()
    {
        var (old, newest) = (new ProtectionKey(new string('a', 32), RandomNumberGenerator.GetBytes(32)), new ProtectionKey(new string('b', 32), RandomNumberGenerator.GetBytes(32)));
        var id = Core.NewId();
        using var seeding = new Core(_store, _core.Clock, keys: new FixedKeys(old));
        var stored = await seeding.InstallAsync(id, refresh: "refresh-0");
        using var without = new Core(_store, _core.Clock, keys: new FixedKeys(newest));
        without.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("by-credentials", expiresIn: 14_400));
        _core.Clock.Advance(TimeSpan.FromMinutes(10));

        // As where the key was deleted after the check: the protector does not know that it seals with another one.
        var attempt = stored.Instance.Refreshed(
            Grant.ClientCredentials,
            new ProtectedTokens(2, new ProtectedText(newest.Id, new byte[40]), null, _core.Clock.GetUtcNow(), _core.Clock.GetUtcNow().AddHours(4)),
            RejectionPolicy.Observed(null, RefreshTokenFaultKind.Unreadable, _core.Clock.GetUtcNow()),
            "attempt",
            _core.Clock.GetUtcNow());
        Assert.NotNull(await _store.TryWriteAsync(stored, attempt, None));
        Assert.Equal((Grant.RefreshToken, 1, RefreshTokenState.Unreadable), (attempt.Grant, attempt.RefreshTokenGeneration, attempt.RefreshTokenState));
        Assert.Equal(stored.Instance.RefreshToken, attempt.RefreshToken);

        using var both = new Core(_store, _core.Clock, keys: new FixedKeys(old, newest));
        both.Wix.Answer = (_, body, _) => Task.FromResult(
            body!.Value.TryGetProperty("refresh_token", out var used) && used.GetString() == "refresh-0" ? StubWix.Tokens("access-2") : StubWix.Status(400));
        Assert.Equal("access-2", Assert.IsType<TokenResult.Token>(await both.GetAsync(id)).AccessToken.Reveal());
        var healed = await both.ReadAsync(id);
        Assert.Equal((null, RefreshTokenState.Ok, newest.Id), (healed.RefreshTokenGeneration, healed.RefreshTokenState, healed.RefreshToken!.KeyId));
    }

    [Theory]
    [InlineData("Wix__PreferredGrant", "RefreshToken", true)]
    [InlineData("Wix__PreferredGrant", "ClientCredentials", true)]
    [InlineData("Wix__ClientCredentialsFallback", "false", false)]
    public async Task A_refresh_token_whose_key_is_disabled_for_a_while_stays_sealed_as_it_was(string setting, string value, bool isServed)
    {
        var (old, newest) = (FixedKeys.NewKey(), FixedKeys.NewKey());
        using var both = new Core(_store, _core.Clock, keys: new FixedKeys(old, newest));
        await both.InstallAsync(Core.NewId());
        using var sealing = new Core(_store, _core.Clock, keys: new FixedKeys(newest, old));
        var id = Core.NewId();
        var before = (await sealing.InstallAsync(id, refresh: "refresh-0")).Instance;
        using var without = new Core(_store, _core.Clock, keys: Core.KeyRingOf(newest, disabled: old), settings: (setting, value));
        without.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("by-credentials", expiresIn: 14_400));

        var result = await without.GetAsync(id);

        Assert.Equal(isServed ? "by-credentials" : null, (result as TokenResult.Token)?.AccessToken.Reveal());
        Assert.Equal(isServed, result is not TokenResult.WixUnavailable);
        await without.TokenReencryption.RunAsync(None);
        var kept = await without.ReadAsync(id);
        Assert.Equal((before.RefreshToken, RefreshTokenState.Unreadable), (kept.RefreshToken, kept.RefreshTokenState));
        Assert.Equal(isServed ? null : TokenError.Undecryptable, kept.Failures?.LastError);

        both.Wix.Answer = (_, body, _) => Task.FromResult(
            body!.Value.TryGetProperty("refresh_token", out var used) && used.GetString() == "refresh-0" ? StubWix.Tokens("access-2") : StubWix.Status(400));
        Assert.Equal("access-2", Assert.IsType<TokenResult.Token>(await both.GetAsync(id, TokenRequirements.New)).AccessToken.Reveal());
        Assert.Equal(("refresh-0", RefreshTokenState.Ok), (await both.RefreshTokenOfAsync(id), (await both.ReadAsync(id)).RefreshTokenState));
    }

    [Fact]
    public async Task A_refresh_token_is_opened_although_an_earlier_version_dropped_the_generation_it_was_sealed_for()
    {
        var id = (await InstallAsync(1))[0];
        var stored = (await _store.FindAsync(id, None))!;
        await _store.TryWriteAsync(stored, stored.Instance with { Generation = 40, AccessToken = null, RefreshTokenGeneration = null }, None);
        GrantAll();

        Assert.IsType<TokenResult.Token>(await _core.GetAsync(id));

        Assert.Equal("refresh-0", _core.Wix.Calls.Single().Body!.Value.GetProperty("refresh_token").GetString());
        Assert.Equal("refresh-0", await _core.RefreshTokenOfAsync(id));
    }

    [Fact]
    public async Task A_refresh_token_is_opened_although_the_fallback_noted_a_generation_that_an_earlier_version_had_moved()
    {
        var id = (await InstallAsync(1))[0];
        var now = _core.Clock.GetUtcNow();
        await ChangeAsync(id, instance => instance with { Generation = 10, RefreshTokenGeneration = null });
        var byCredentials = new ProtectedTokens(11, new ProtectedText(new string('0', 32), new byte[40]), null, now, now.AddHours(4));
        await ChangeAsync(id, instance => instance.Refreshed(
            Grant.ClientCredentials, byCredentials, RejectionPolicy.Observed(null, RefreshTokenFaultKind.Unreadable, now), "attempt", now));
        Assert.Equal(10, (await _core.ReadAsync(id)).RefreshTokenGeneration);
        GrantAll();

        Assert.IsType<TokenResult.Token>(await _core.GetAsync(id, TokenRequirements.New));

        Assert.Equal("refresh-0", _core.Wix.Calls.Single().Body!.Value.GetProperty("refresh_token").GetString());
        Assert.Equal("refresh-0", await _core.RefreshTokenOfAsync(id));
        Assert.Equal(RefreshTokenState.Ok, (await _core.ReadAsync(id)).RefreshTokenState);
    }

    [Fact]
    public async Task One_rejection_does_not_confirm_a_removal_in_doubt_and_the_full_proof_does()
    {
        var ids = await InstallAsync(6);
        var stored = (await _store.FindAsync(ids[0], None))!;
        var now = _core.Clock.GetUtcNow();
        await _store.TryWriteAsync(stored, stored.Instance with { RemovalNotedAt = now, WixRemovedAt = now, DueAt = now }, None);
        RejectSite(ids[0]);

        await SweepAsync(TimeSpan.FromHours(1));
        var doubted = await _core.ReadAsync(ids[0]);
        Assert.Equal((InstanceStatus.Active, "refresh-0"), (doubted.Status, await _core.RefreshTokenOfAsync(ids[0])));
        Assert.Empty(_core.Logs.Of(423));
        Assert.IsType<TokenResult.WixUnavailable>(await _core.GetAsync(ids[0], TokenRequirements.New));

        await SweepAsync(TimeSpan.FromHours(2));
        Assert.Equal(InstanceStatus.Removed, (await _core.ReadAsync(ids[0])).Status);
        Assert.Single(_core.Logs.Of(423));
    }

    [Fact]
    public async Task No_removal_in_doubt_is_confirmed_while_every_site_is_rejected()
    {
        var ids = await InstallAsync(6);
        var now = _core.Clock.GetUtcNow();
        await ChangeAsync(ids[0], instance => instance with { RemovalNotedAt = now, WixRemovedAt = now, DueAt = now });
        RejectAll();

        await SweepAsync(TimeSpan.FromHours(6));
        Assert.All(await ReadAsync(ids), instance => Assert.Equal(InstanceStatus.Active, instance.Status));
        await AssertAllKeptAsync(ids);

        GrantAll();
        await SweepAsync(TimeSpan.FromMinutes(10));
        Assert.Null((await _core.ReadAsync(ids[0])).RemovalNotedAt);
        await AssertAllKeptAsync(ids);
    }

    [Fact]
    public async Task A_token_stored_by_a_clock_an_hour_ahead_is_refreshed_not_served()
    {
        var id = (await InstallAsync(1))[0];
        await ChangeAsync(id, instance => instance with
        {
            AccessTokenIssuedAt = _core.Clock.GetUtcNow().AddHours(1),
            AccessTokenExpiresOn = _core.Clock.GetUtcNow().AddMinutes(65),
        });
        GrantAll();

        Assert.Equal("access", Assert.IsType<TokenResult.Token>(await _core.GetAsync(id)).AccessToken.Reveal());
    }

    [Fact]
    public async Task A_token_that_claims_to_live_for_more_than_a_day_is_refreshed_and_its_life_is_cut_when_stored()
    {
        var id = (await InstallAsync(1))[0];
        await ChangeAsync(id, instance => instance with { AccessTokenExpiresOn = _core.Clock.GetUtcNow().AddDays(300) });
        _core.Wix.Answer = (path, _, _) => Task.FromResult(path == "/oauth2/token" ? StubWix.Tokens("long", expiresIn: 9_000_000) : StubWix.Status(400));

        var token = Assert.IsType<TokenResult.Token>(await _core.GetAsync(id));

        Assert.Equal(("long", TimeSpan.FromDays(1)), (token.AccessToken.Reveal(), token.Lifetime));
        var instance = await _core.ReadAsync(id);
        Assert.Equal(TimeSpan.FromDays(1), instance.AccessTokenExpiresOn - instance.AccessTokenIssuedAt);
    }

    [Fact]
    public async Task An_event_from_far_ahead_does_not_make_later_events_old()
    {
        var id = (await InstallAsync(1))[0];
        var now = _core.Clock.GetUtcNow();
        await _core.Life.InstalledAsync(id, now.AddYears(50), None);
        Assert.Equal(now + Instance.WixClockTolerance, (await _core.ReadAsync(id)).WixInstalledAt);
        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        Assert.True(await _core.Life.RemovedAsync(id, _core.Clock.GetUtcNow(), None));
        Assert.NotNull((await _core.ReadAsync(id)).WixRemovedAt);

        // One that an earlier version has stored so.
        var other = await _core.InstallAsync(Core.NewId());
        await ChangeAsync(other.Instance.Id, instance => instance with { WixInstalledAt = now.AddYears(50) });
        Assert.True(await _core.Life.RemovedAsync(other.Instance.Id, _core.Clock.GetUtcNow(), None));
        Assert.Equal(InstanceStatus.Removed, (await _core.ReadAsync(other.Instance.Id)).Status);
    }

    [Fact]
    public async Task One_false_rejection_makes_every_rejected_and_marked_site_due()
    {
        var ids = await InstallAsync(20);
        var now = _core.Clock.GetUtcNow();
        foreach (var id in ids[1..])
        {
            await ChangeAsync(id, instance => instance.Failed(TokenError.Rejected, null, now.AddHours(1), now).Marked(now) with { DueAt = now.AddHours(1) });
        }

        await ChangeAsync(ids[0], instance => instance.Failed(TokenError.Rejected, null, now, now) with { AccessToken = null, DueAt = now });
        GrantAll();
        await SweepAsync(TimeSpan.FromMinutes(3));
        await _core.Background.WhenIdleAsync(None);

        Assert.All(await ReadAsync(ids), instance => Assert.Equal((InstanceStatus.Active, null), (instance.Status, instance.Failures)));
        Assert.Single(_core.Logs.Of(424));
    }

    [Fact]
    public async Task A_caller_tries_a_marked_site_once_in_15_minutes()
    {
        var id = (await InstallAsync(1))[0];
        await ChangeAsync(id, instance => instance.Failed(TokenError.Rejected, null, _core.Clock.GetUtcNow(), _core.Clock.GetUtcNow()).Marked(_core.Clock.GetUtcNow()) with { AccessToken = null });
        RejectAll();
        for (var minute = 0; minute < 60; minute++)
        {
            _core.Clock.Advance(TimeSpan.FromMinutes(1));
            Assert.IsType<TokenResult.ReinstallRequired>(await _core.GetAsync(id));
        }

        Assert.Equal(4, _core.Wix.CallsTo("/oauth/access"));
    }

    [Fact]
    public async Task The_bridge_goes_both_ways_under_load_without_a_failed_GetToken_and_keeps_every_refresh_token()
    {
        const int Sites = 200;
        var ids = await InstallAsync(Sites);
        GrantAll();
        await LiveAsync(_core, ids, minutes: 10);
        using var bridge = new Core(_store, _core.Clock, settings: ("Wix__PreferredGrant", "ClientCredentials"));
        bridge.Wix.Answer = _core.Wix.Answer;
        await LiveAsync(bridge, ids, minutes: 10);

        // Each site made the one call that it would have made anyway.
        Assert.Equal((0, Sites), (bridge.Wix.CallsTo("/oauth/access"), bridge.Wix.CallsTo("/oauth2/token")));
        Assert.All(await ReadAsync(ids), instance => Assert.Equal((Grant.RefreshToken, Grant.ClientCredentials, RefreshTokenState.Ok), (instance.Grant, instance.CurrentGrant, instance.RefreshTokenState)));
        await AssertAllKeptAsync(ids);

        using var back = new Core(_store, _core.Clock);
        back.Wix.Answer = _core.Wix.Answer;
        await LiveAsync(back, ids, minutes: 180);

        Assert.Equal(0, back.Wix.CallsTo("/oauth2/token"));
        Assert.All(await ReadAsync(ids), instance => Assert.Equal(Grant.RefreshToken, instance.CurrentGrant));
        await AssertAllKeptAsync(ids);
    }

    /// <summary>A sweep and a GetToken for a quarter of the sites each minute.</summary>
    private static async Task LiveAsync(Core core, List<InstanceId> ids, int minutes)
    {
        for (var minute = 0; minute < minutes; minute++)
        {
            core.Clock.Advance(TimeSpan.FromMinutes(1));
            await core.Sweep.RunAsync(None).WaitAsync(SingleThreadSynchronizationContext.Patience);
            Assert.All(
                await Task.WhenAll(ids.Where((_, number) => number % 4 == minute % 4).Select(id => core.GetAsync(id))),
                result => Assert.IsType<TokenResult.Token>(result));
        }
    }

    private static HttpResponseMessage Html(int status) =>
        new((HttpStatusCode)status) { Content = new StringContent("<html><body>Forbidden</body></html>", Encoding.UTF8, "text/html") };

    private async Task<List<InstanceId>> InstallAsync(int count)
    {
        List<InstanceId> ids = [];
        for (var number = 0; number < count; number++)
        {
            ids.Add(Core.NewId());
            await _core.InstallAsync(ids[^1], refresh: $"refresh-{number}");
        }

        return ids;
    }

    private void GrantAll() => _core.Wix.Answer = (path, _, _) => Task.FromResult(StubWix.Tokens("access", expiresIn: path == "/oauth2/token" ? 14_400 : 300));

    private void RejectAll() => _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(401));

    private void RejectRefreshTokens() => _core.Wix.Answer = (path, _, _) =>
        Task.FromResult(path == "/oauth/access" ? StubWix.Status(403) : StubWix.Tokens("by-credentials", expiresIn: 14_400));

    private void RejectSite(InstanceId id) => _core.Wix.Answer = (path, body, _) => Task.FromResult(
        (path == "/oauth/access" ? body!.Value.GetProperty("refresh_token").GetString() == "refresh-0" : body!.Value.GetProperty("instance_id").GetString() == id.ToString())
            ? StubWix.Status(401)
            : StubWix.Tokens("access"));

    private async Task ChangeAsync(InstanceId id, Func<Instance, Instance> change)
    {
        var stored = (await _store.FindAsync(id, None))!;
        Assert.NotNull(await _store.TryWriteAsync(stored, change(stored.Instance), None));
    }

    private async Task<List<Instance>> ReadAsync(IEnumerable<InstanceId> ids)
    {
        List<Instance> instances = [];
        foreach (var id in ids)
        {
            instances.Add(await _core.ReadAsync(id));
        }

        return instances;
    }

    private async Task AssertAllKeptAsync(List<InstanceId> ids)
    {
        for (var number = 0; number < ids.Count; number++)
        {
            Assert.Equal($"refresh-{number}", await _core.RefreshTokenOfAsync(ids[number]));
        }
    }

    private async Task SweepAsync(TimeSpan during, TimeSpan? step = null)
    {
        for (var passed = TimeSpan.Zero; passed < during; passed += step ?? TimeSpan.FromMinutes(1))
        {
            _core.Clock.Advance(step ?? TimeSpan.FromMinutes(1));
            await _core.Sweep.RunAsync(None).WaitAsync(SingleThreadSynchronizationContext.Patience);
            await _core.Background.WhenIdleAsync(None);
        }
    }
}

using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Tokens;

public sealed class AppSecretProbeTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private readonly MemoryInstanceStore _memory = new();
    private readonly FaultyStore _store;
    private readonly HashSet<string> _rejected = [];
    private readonly Core _core;
    private readonly Measured _measured;
    private int _installed;

    public AppSecretProbeTests()
    {
        _store = new FaultyStore(_memory);
        _core = new Core(_store, settings: ("Wix__ClientCredentialsFallback", "false"));
        _measured = new Measured(_core);
        _core.Wix.Answer = (_, body, _) => Task.FromResult(
            _rejected.Contains(body!.Value.GetProperty("refresh_token").GetString()!) ? StubWix.Status(403) : StubWix.Tokens("access-2"));
    }

    /// <summary>The sites that were asked, in order.</summary>
    private List<string> Asked => [.. _core.Wix.Calls.Select(call => call.Body!.Value.GetProperty("refresh_token").GetString()!)];

    public void Dispose()
    {
        _measured.Dispose();
        _core.Dispose();
    }

    [Theory]
    [InlineData(3, 0, true)]
    [InlineData(2, 1, true)]
    [InlineData(1, 2, true)]
    [InlineData(4, 0, false)]
    [InlineData(3, 1, false)]
    [InlineData(2, 2, false)]
    public async Task With_three_sites_active_or_marked_there_are_too_few_to_ask(int active, int marked, bool isTooFew)
    {
        var site = await InstallAsync();
        await InstallAsync(active - 1);
        for (var number = 0; number < marked; number++)
        {
            await ChangeAsync(await InstallAsync(), instance => instance.Marked(_core.Clock.GetUtcNow()));
        }

        Assert.Equal(isTooFew ? SecretProof.TooFewSites : SecretProof.Since, await ProveAsync(site));

        Assert.Equal(isTooFew ? 0 : Math.Min(3, active - 1), Asked.Count);
        Assert.Equal(new() { [isTooFew ? "outcome=too_few_sites" : "outcome=proven"] = 1 }, _measured.Of("wixoauth.app_secret.probes"));
    }

    [Theory]
    [InlineData(3)]
    [InlineData(9)]
    public async Task Without_another_active_site_there_are_too_few_to_ask(int marked)
    {
        var site = await InstallAsync();
        foreach (var other in await InstallAsync(marked))
        {
            await ChangeAsync(other, instance => instance.Marked(_core.Clock.GetUtcNow()));
        }

        Assert.Equal(SecretProof.TooFewSites, await ProveAsync(site));
        Assert.Equal(SecretProof.TooFewSites, await ProveAsync(site));

        Assert.Equal(new() { ["outcome=too_few_sites"] = 1 }, _measured.Of("wixoauth.app_secret.probes"));
    }

    [Theory]
    [InlineData(2, 2, false)]
    [InlineData(3, 1, false)]
    [InlineData(3, 9, false)]
    [InlineData(4, 0, true)]
    [InlineData(4, 9, true)]
    public async Task Three_active_sites_that_are_all_rejected_are_too_few_to_suspect_the_secret(int active, int marked, bool isSuspect)
    {
        var site = await InstallAsync();
        var others = await InstallAsync(active - 1);
        foreach (var other in await InstallAsync(marked))
        {
            await ChangeAsync(other, instance => instance.Marked(_core.Clock.GetUtcNow()));
        }

        _rejected.UnionWith(others.Append(site).Select(TokenOf));

        Assert.Equal(isSuspect ? SecretProof.Suspect : SecretProof.TooFewSites, await ProveAsync(site));

        Assert.Equal(active - 1, Asked.Count);
        Assert.Equal(isSuspect, _core.Ledger.IsSuspect);
        Assert.Equal(new() { [isSuspect ? "outcome=suspect" : "outcome=too_few_sites"] = 1 }, _measured.Of("wixoauth.app_secret.probes"));
    }

    [Fact]
    public async Task Suspicion_ends_when_only_three_active_sites_are_left_and_the_one_asked_is_rejected()
    {
        var left = await InstallAsync(3);
        foreach (var other in await InstallAsync(5))
        {
            await ChangeAsync(other, instance => instance.Marked(_core.Clock.GetUtcNow()));
        }

        _rejected.UnionWith(left.Select(TokenOf));
        _core.Ledger.Suspect(7);

        await _core.Probe.ProbeAsync();

        Assert.Single(Asked);
        Assert.False(_core.Ledger.IsSuspect);
    }

    [Fact]
    public async Task Three_other_sites_with_tokens_prove_the_secret()
    {
        var site = await InstallAsync();
        await InstallAsync(9);

        Assert.Equal(SecretProof.Since, await ProveAsync(site));

        Assert.Equal(3, Asked.Distinct().Count());
        Assert.DoesNotContain(TokenOf(site), Asked);
        Assert.False(_core.Ledger.IsSuspect);
    }

    [Fact]
    public async Task A_stop_waits_for_a_probe_whose_callers_gave_up()
    {
        var site = await InstallAsync();
        await InstallAsync(9);
        var open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _core.Wix.Answer = async (_, body, _) =>
        {
            await open.Task;
            return StubWix.Tokens("access-2", $"new-{body!.Value.GetProperty("refresh_token").GetString()}");
        };
        Assert.Equal(SecretProof.Unknown, await _core.RunAsync(() => ProveAsync(site)));

        var stopping = _core.Background.StoppedAsync(None);
        Assert.False(stopping.IsCompleted);
        open.SetResult();
        await stopping;

        Assert.Equal(3, Asked.Count);
        Assert.All(Asked, token => Assert.StartsWith("refresh-of-", token, StringComparison.Ordinal));
        foreach (var id in Asked.Select(token => new InstanceId(Guid.Parse(token["refresh-of-".Length..]))))
        {
            Assert.StartsWith("new-", await _core.RefreshTokenOfAsync(id), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Proof_is_only_of_the_version_of_the_secret_that_it_was_made_with()
    {
        var site = await InstallAsync();
        await InstallAsync(9);

        Assert.Equal(SecretProof.Unknown, await _core.Probe.ProveAsync(site, "another version"));
        _core.Clock.Advance(TimeSpan.FromTicks(1));
        Assert.Equal(SecretProof.Recent, await ProveAsync(site));
    }

    [Fact]
    public async Task Within_a_minute_the_last_proof_serves_and_then_sites_are_asked_again()
    {
        var site = await InstallAsync();
        await InstallAsync(9);
        await ProveAsync(site);
        _core.Clock.Advance(AppSecretProbe.BetweenProbes - TimeSpan.FromTicks(1));

        Assert.Equal(SecretProof.Recent, await ProveAsync(site));
        Assert.Equal(3, Asked.Count);

        _core.Clock.Advance(TimeSpan.FromTicks(1));
        Assert.Equal(SecretProof.Since, await ProveAsync(site));
        Assert.Equal(6, Asked.Count);
    }

    [Fact]
    public async Task Twelve_sites_are_asked_before_the_secret_is_suspect_and_then_one_a_minute()
    {
        var site = await InstallAsync();
        var others = await InstallAsync(20);
        _rejected.UnionWith(others.Append(site).Select(TokenOf));

        Assert.Equal(SecretProof.Suspect, await ProveAsync(site));
        Assert.Equal(12, Asked.Distinct().Count());
        Assert.True(_core.Ledger.IsSuspect);
        Assert.Contains("all 12 sites", Assert.Single(_core.Logs.Of(412)), StringComparison.Ordinal);
        Assert.Equal(new() { ["outcome=suspect"] = 1 }, _measured.Of("wixoauth.app_secret.probes"));

        for (var minute = 1; minute <= 3; minute++)
        {
            _core.Clock.Advance(AppSecretProbe.BetweenProbes);
            await _core.Probe.ProbeAsync();
            await _core.Probe.ProbeAsync();
            Assert.Equal(12 + minute, Asked.Count);
        }

        _rejected.Clear();
        _core.Clock.Advance(AppSecretProbe.BetweenProbes);
        await _core.Probe.ProbeAsync();
        Assert.False(_core.Ledger.IsSuspect);
    }

    public static TheoryData<string> Unaskable => ["removed", "marked", "unreadable", "unknown"];

    [Theory]
    [MemberData(nameof(Unaskable))]
    public async Task Site_that_cannot_be_asked_does_not_prolong_a_suspicion(string why)
    {
        var lost = await InstallAsync();
        await InstallAsync(4);
        SeeInOrder([lost]);
        await LoseAsync(lost, why);
        _core.Ledger.Suspect(12);

        await _core.Probe.ProbeAsync();

        Assert.False(_core.Ledger.IsSuspect);
        Assert.Single(Asked);
        Assert.DoesNotContain(lost.Id, _core.Ledger.LastSucceeded(100, default));
    }

    [Theory]
    [MemberData(nameof(Unaskable))]
    public async Task Sites_that_cannot_be_asked_give_way_to_others(string why)
    {
        var site = await InstallAsync();
        var lost = await InstallAsync(3);
        await InstallAsync(3);
        SeeInOrder(lost);
        foreach (var each in lost)
        {
            await LoseAsync(each, why);
        }

        Assert.Equal(SecretProof.Unknown, await ProveAsync(site));
        Assert.Equal(SecretProof.Since, await ProveAsync(site));
        Assert.Equal(3, Asked.Count);
    }

    [Fact]
    public async Task Site_without_an_answer_from_Wix_is_the_only_one_that_is_asked_in_a_suspicion()
    {
        await InstallAsync(5);
        _core.Ledger.Suspect(12);
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(503));

        await _core.RunAsync(async () =>
        {
            await _core.Probe.ProbeAsync();
            return true;
        });

        Assert.Single(Asked.Distinct());
        Assert.True(_core.Ledger.IsSuspect);
    }

    [Fact]
    public async Task Suspicion_ends_when_too_few_sites_are_left_to_ask()
    {
        await InstallAsync(3);
        _core.Ledger.Suspect(3);

        await _core.Probe.ProbeAsync();

        Assert.False(_core.Ledger.IsSuspect);
        Assert.Empty(Asked);
    }

    [Fact]
    public async Task More_sites_are_asked_until_one_has_a_token()
    {
        var site = await InstallAsync();
        var others = await InstallAsync(9);
        _rejected.UnionWith(others.Take(4).Select(TokenOf));
        SeeInOrder(others);

        Assert.Equal(SecretProof.Unknown, await ProveAsync(site));

        // The first three are rejected; of the next three two have tokens, so the answers are mixed.
        Assert.Equal(others.Take(6).Select(TokenOf), Asked.Order(StringComparer.Ordinal));
        Assert.False(_core.Ledger.IsSuspect);
        Assert.Equal(new() { ["outcome=unknown"] = 1 }, _measured.Of("wixoauth.app_secret.probes"));
    }

    [Fact]
    public async Task Sites_that_had_tokens_last_are_asked_and_of_the_others_those_without_a_failure()
    {
        var site = await InstallAsync();
        var known = await InstallAsync();
        var failed = await InstallAsync(9);
        var healthy = await InstallAsync(2);
        foreach (var instance in failed)
        {
            await ChangeAsync(instance, each => each.Failed(TokenError.WixUnavailable, fault: null, _core.Clock.GetUtcNow(), _core.Clock.GetUtcNow()));
        }

        SeeInOrder([site, known]);

        Assert.Equal(SecretProof.Since, await ProveAsync(site));
        Assert.Equal(healthy.Prepend(known).Select(TokenOf).Order(), Asked.Order());
    }

    [Fact]
    public async Task Sites_with_failures_are_asked_where_there_are_no_others()
    {
        var site = await InstallAsync();
        var failed = await InstallAsync(5);
        foreach (var instance in failed)
        {
            await ChangeAsync(instance, each => each.Failed(TokenError.WixUnavailable, fault: null, _core.Clock.GetUtcNow(), _core.Clock.GetUtcNow()));
        }

        Assert.Equal(SecretProof.Since, await ProveAsync(site));
        Assert.Equal(3, Asked.Count);
    }

    [Fact]
    public async Task Rejection_of_a_probe_is_recorded_and_not_counted()
    {
        var site = await InstallAsync();
        var others = await InstallAsync(3);
        _rejected.UnionWith(others.Select(TokenOf));

        await ProveAsync(site);

        foreach (var other in others)
        {
            var stored = await _core.ReadAsync(other.Id);
            Assert.Equal((1, TokenError.Rejected), (stored.Failures!.Rejections, stored.Failures.LastError));
            Assert.Null(stored.CountedRejections);
            Assert.Null(stored.Lease);
        }
    }

    [Fact]
    public async Task Sites_that_others_are_refreshing_are_not_asked_and_the_next_rejection_asks_again_at_once()
    {
        var site = await InstallAsync();
        var others = await InstallAsync(3);
        foreach (var other in others)
        {
            await ChangeAsync(other, each => each.Leased("another process", _core.Clock.GetUtcNow() + TokenRefresher.LeaseTime));
        }

        Assert.Equal(SecretProof.Unknown, await ProveAsync(site));
        Assert.Empty(Asked);

        _core.Clock.Advance(TokenRefresher.LeaseTime);
        Assert.Equal(SecretProof.Since, await ProveAsync(site));
        Assert.Equal(3, Asked.Count);
    }

    [Fact]
    public async Task Wix_without_an_answer_proves_nothing()
    {
        var site = await InstallAsync();
        await InstallAsync(3);
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(503));

        Assert.Equal(SecretProof.Unknown, await _core.RunAsync(() => ProveAsync(site)));
        Assert.False(_core.Ledger.IsSuspect);
    }

    // By their Retry-After nobody is asked twice within a call, so that the circuit does not open.
    [Fact]
    public async Task Sites_without_an_answer_are_asked_once_a_minute_however_many_rejections_come()
    {
        var site = await InstallAsync();
        await InstallAsync(9);
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(500, retryAfter: "5"));

        for (var rejection = 1; rejection <= 20; rejection++)
        {
            Assert.Equal(SecretProof.Unknown, await ProveAsync(site));
        }

        Assert.Equal(3, Asked.Count);
    }

    [Fact]
    public async Task Failure_of_the_storage_or_of_the_probe_itself_proves_nothing()
    {
        var site = await InstallAsync();
        await InstallAsync(3);
        _store.FailAll();
        Assert.Equal(SecretProof.Unknown, await ProveAsync(site));
        Assert.Empty(Asked);

        _core.Clock.Advance(AppSecretProbe.BetweenProbes);
        _store.Before = _ => throw new InvalidOperationException("Not foreseen.");
        Assert.Equal(SecretProof.Unknown, await ProveAsync(site));
        Assert.Contains(nameof(InvalidOperationException), Assert.Single(_core.Logs.Of(425)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task While_Wix_rejects_at_random_only_a_day_of_rejections_makes_a_proof_count()
    {
        var site = await InstallAsync();
        await InstallAsync(3);
        var now = _core.Clock.GetUtcNow();
        foreach (var falselyRejected in await InstallAsync(2))
        {
            _core.Get<FalseRejections>().Check(falselyRejected.Failed(TokenError.Rejected, fault: null, now, now), Grant.RefreshToken);
        }

        Assert.Equal(SecretProof.Unknown, await ProveAsync(site));
        Assert.Equal(SecretProof.Unknown, await ProveAsync(RejectedSince(TimeSpan.FromDays(1) - TimeSpan.FromTicks(1))));
        Assert.Equal(SecretProof.Since, await ProveAsync(RejectedSince(TimeSpan.FromDays(1))));

        Instance RejectedSince(TimeSpan ago) => site.Failed(TokenError.Rejected, fault: null, now, now - ago);
    }

    private static string TokenOf(Instance instance) => $"refresh-of-{instance.Id}";

    private Task<SecretProof> ProveAsync(Instance rejected) => _core.Probe.ProveAsync(rejected, "configured");

    private void SeeInOrder(IEnumerable<Instance> latestFirst)
    {
        foreach (var instance in latestFirst.Reverse())
        {
            _core.Clock.Advance(TimeSpan.FromTicks(1));
            _core.Ledger.Record(instance.Id, new TokenAnswer.Granted(new AccessToken("a"), null, _core.Clock.GetUtcNow(), _core.Clock.GetUtcNow().AddMinutes(5)));
        }
    }

    private async Task<Instance> InstallAsync()
    {
        // In the order in which they are installed, so that a test may compare lists.
        var id = new InstanceId(Guid.ParseExact($"00000000-0000-4000-8000-{++_installed:x12}", "D"));
        return (await _core.InstallAsync(id, refresh: $"refresh-of-{id}")).Instance;
    }

    private async Task<List<Instance>> InstallAsync(int count)
    {
        var installed = new List<Instance>();
        for (var number = 0; number < count; number++)
        {
            installed.Add(await InstallAsync());
        }

        return installed;
    }

    private async Task LoseAsync(Instance instance, string why)
    {
        switch (why)
        {
            case "removed":
                await ChangeAsync(instance, each => each with { Status = InstanceStatus.Removed });
                break;
            case "marked":
                await ChangeAsync(instance, each => each.Marked(_core.Clock.GetUtcNow()));
                break;
            case "unreadable":
                var before = _store.Before;
                _store.Before = call => call.Id == instance.Id ? throw new InvalidDataException("Property X is damaged.") : before(call);

                // The list leaves such a row out.
                await ChangeAsync(instance.Id, _memory, each => each with { Status = InstanceStatus.Removed });
                break;
            default:
                Assert.True(await _memory.TryRemoveAsync((await _memory.FindAsync(instance.Id, None))!, None));
                break;
        }
    }

    private Task ChangeAsync(Instance instance, Func<Instance, Instance> change) => ChangeAsync(instance.Id, _core.Store, change);

    private static async Task ChangeAsync(InstanceId id, IInstanceStore store, Func<Instance, Instance> change)
    {
        var stored = (await store.FindAsync(id, None))!;
        Assert.NotNull(await store.TryWriteAsync(stored, change(stored.Instance), None));
    }
}

using WixOAuth.Functions.Tests.Protection;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Tokens;

/// <summary>What an attempt observes of the refresh token, and what it leaves alone.</summary>
public sealed class RefreshAttemptTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly InstanceId Id = Core.NewId();

    private readonly MemoryInstanceStore _store = new();
    private readonly List<IDisposable> _used = [];

    public void Dispose() => _used.ForEach(used => used.Dispose());

    [Theory]
    [InlineData("RefreshToken", RefreshTokenFaultKind.Rejected, RefreshTokenFaultKind.Rejected, null)]
    [InlineData("ClientCredentials", RefreshTokenFaultKind.Rejected, RefreshTokenFaultKind.Rejected, null)]
    [InlineData("ClientCredentials", RefreshTokenFaultKind.Unreadable, null, "recovered")]
    [InlineData("ClientCredentials", null, null, null)]
    internal async Task A_refresh_token_that_was_not_tried_keeps_its_fault_unless_it_can_be_read_again(
        string preferred, RefreshTokenFaultKind? before, RefreshTokenFaultKind? after, string? counted)
    {
        var core = New(("Wix__PreferredGrant", preferred));
        var fault = before is { } kind ? new RefreshTokenFault(kind, TestClock.Start, 1, TestClock.Start.AddDays(1)) : null;
        await InstallAsync(core, instance => instance with { RefreshTokenFault = fault });
        using var measured = new Measured(core);

        Assert.Equal("by-client-credentials", await TokenAsync(core));

        Assert.Equal(["client_credentials"], GrantsOf(core));
        Assert.Equal(after, (await core.ReadAsync(Id)).RefreshTokenFault?.Kind);
        Assert.Equal(after is null ? null : fault, (await core.ReadAsync(Id)).RefreshTokenFault);
        Assert.Equal(Counted(counted), measured.Of("wixoauth.refresh_token.faults"));
        Assert.Equal(counted is not null, core.History.TakeFaultChange());
        Assert.Equal(preferred == "RefreshToken" ? 1 : 0, (await core.Get<InstanceOverview>().GetAsync(forceRefresh: true, None)).OnFallback);
    }

    [Fact]
    public async Task A_refresh_token_that_no_key_opens_is_observed_once_and_kept()
    {
        var core = New();
        await InstallAsync(core, instance => instance with { RefreshTokenGeneration = 300 });
        var stored = (await core.ReadAsync(Id)).RefreshToken;
        using var measured = new Measured(core);

        for (var time = 1; time <= 2; time++)
        {
            Assert.Equal("by-client-credentials", await TokenAsync(core));
            core.Clock.Advance(TimeSpan.FromHours(5));
        }

        Assert.Equal(["client_credentials", "client_credentials"], GrantsOf(core));
        Assert.Equal((RefreshTokenFaultKind.Unreadable, stored, 300), ((await core.ReadAsync(Id)).RefreshTokenFault?.Kind, (await core.ReadAsync(Id)).RefreshToken, (await core.ReadAsync(Id)).RefreshTokenGeneration));
        Assert.Equal(Counted("unreadable"), measured.Of("wixoauth.refresh_token.faults"));
    }

    [Fact]
    public async Task Without_the_fallback_a_refresh_token_that_no_key_opens_is_observed_and_Wix_is_not_asked()
    {
        var core = New(("Wix__ClientCredentialsFallback", "false"));
        await InstallAsync(core, instance => instance with { RefreshTokenGeneration = 300 });

        Assert.IsType<TokenResult.WixUnavailable>(await core.GetAsync(Id));

        Assert.Empty(core.Wix.Calls);
        Assert.Equal(RefreshTokenFaultKind.Unreadable, (await core.ReadAsync(Id)).RefreshTokenFault?.Kind);
        Assert.Contains("Undecryptable", Assert.Single(core.Logs.Of(402)), StringComparison.Ordinal);
        Assert.Equal(1, (await core.Get<InstanceOverview>().GetAsync(forceRefresh: true, None)).Unreadable);
    }

    [Theory]
    [InlineData(InstanceStatus.Active, 403, 1)]
    [InlineData(InstanceStatus.Active, 503, 0)]
    [InlineData(InstanceStatus.ReinstallRequired, 403, 0)]
    internal async Task The_app_secret_is_probed_only_when_Wix_rejects_every_grant_of_an_active_site(InstanceStatus status, int answer, int probes)
    {
        var core = New();
        for (var number = 0; number < RejectionPolicy.TooFewSites; number++)
        {
            await core.InstallAsync(Core.NewId());
        }

        await InstallAsync(core, instance => instance with { Status = status });
        core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(answer));
        using var measured = new Measured(core);

        Assert.IsNotType<TokenResult.Token>(await core.Clock.RunAsync(core.GetAsync(Id)));

        Assert.Equal(probes, measured.CountsOf("wixoauth.app_secret.probes").Values.Sum());
    }

    [Fact]
    public async Task A_row_that_others_always_write_first_is_given_up()
    {
        var store = new WatchedStore(_store);
        var core = Add(new Core(store));
        await InstallAsync(core);
        var startedAt = core.Clock.GetTimestamp();
        store.Before = async (method, id) =>
        {
            if (method == nameof(IInstanceStore.TryWriteAsync))
            {
                core.Clock.Advance(TimeSpan.FromSeconds(1));
                var stored = (await _store.FindAsync(id!.Value, None))!;
                Assert.NotNull(await _store.TryWriteAsync(stored, stored.Instance with { UpdatedAt = core.Clock.GetUtcNow() }, None));
            }
        };

        Assert.IsType<TokenResult.StorageUnavailable>(await core.GetAsync(Id));

        Assert.Empty(core.Wix.Calls);
        Assert.Equal(TokenRefresher.LeaseTime * 2, core.Clock.GetElapsedTime(startedAt));
    }

    [Fact]
    public async Task With_the_wrong_protection_key_a_caller_is_served_from_memory_and_the_row_is_left_alone()
    {
        var right = New();
        Assert.True(await right.Protector.CanSealAsync(None));
        var stored = await InstallAsync(right);
        var wrong = Add(new Core(_store, right.Clock, keys: Core.KeyRingOf(FixedKeys.NewKey())));
        wrong.Wix.Answer = AnswerAsync;

        Assert.Equal("by-client-credentials", await TokenAsync(wrong));

        Assert.Equal(["client_credentials"], GrantsOf(wrong));
        Assert.Equal(stored.ETag, (await _store.FindAsync(Id, None))?.ETag);

        await wrong.Begin(() => wrong.Tokens.RefreshDueAsync(stored));
        Assert.Single(wrong.Wix.Calls);
        Assert.Equal(stored.ETag, (await _store.FindAsync(Id, None))?.ETag);
    }

    private static Dictionary<string, double> Counted(string? outcome) => outcome is null ? [] : new() { [$"outcome={outcome}"] = 1 };

    private static async Task<string> TokenAsync(Core core) => Assert.IsType<TokenResult.Token>(await core.GetAsync(Id)).AccessToken.Reveal();

    private static IEnumerable<string> GrantsOf(Core core) => core.Wix.Calls.Select(call => call.Body!.Value.GetProperty("grant_type").GetString()!);

    private static Task<HttpResponseMessage> AnswerAsync(string path, System.Text.Json.JsonElement? body, CancellationToken cancellationToken) => Task.FromResult(
        body!.Value.GetProperty("grant_type").GetString() == "client_credentials"
            ? StubWix.Tokens("by-client-credentials", expiresIn: 14_400)
            : StubWix.Tokens("by-the-refresh-token", "refresh-1"));

    /// <summary>A site whose access token has ended.</summary>
    private static async Task<StoredInstance> InstallAsync(Core core, Func<Instance, Instance>? change = null)
    {
        var stored = await core.InstallAsync(Id);
        core.Clock.Advance(TimeSpan.FromMinutes(10));
        return change is null ? stored : (await core.Store.TryWriteAsync(stored, change(stored.Instance), None))!;
    }

    private Core New(params (string, string)[] settings)
    {
        var core = Add(new Core(_store, settings: settings));
        core.Wix.Answer = AnswerAsync;
        return core;
    }

    private Core Add(Core core)
    {
        _used.Add(core);
        return core;
    }
}

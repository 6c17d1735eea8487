using WixOAuth.Functions.Tests.Support;
using WixOAuth.Install;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Install;

/// <summary>How an install begins: install links, their button, and which customer goes on to the consent page.</summary>
public sealed class InstallStartTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;

    private readonly WatchedStore _store = new(new MemoryInstanceStore());
    private readonly Core _core;

    public InstallStartTests() => _core = new Core(_store);

    public void Dispose() => _core.Dispose();

    [Theory]
    [InlineData("acme", null)]
    [InlineData("acme", "Acme Ltd.")]
    [InlineData("a", "b")]
    [InlineData("ä\u0001 Kunde", "Ü")]
    public async Task A_link_holds_its_customer_and_display_name(string customer, string? displayName)
    {
        var link = await ReadAsync(await IssueAsync(customer, displayName));

        Assert.Equal((customer, displayName, _core.Clock.GetUtcNow()), (link?.Customer, link?.DisplayName, link?.IssuedAt));
    }

    // 256 bytes and more need the second byte of their length.
    [Theory]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(600)]
    public async Task A_long_customer_is_told_from_its_display_name(int length)
    {
        var customer = new string('c', length);

        var link = await ReadAsync(await IssueAsync(customer, "Acme Ltd."));

        Assert.Equal((customer, "Acme Ltd."), (link?.Customer, link?.DisplayName));
    }

    [Fact]
    public async Task A_link_works_for_30_minutes_from_when_it_was_made()
    {
        var (start, expiresOn) = await _core.Links.IssueAsync("acme", displayName: null, None);
        Assert.Equal(_core.Clock.GetUtcNow().AddMinutes(30), expiresOn);

        _core.Clock.Advance(TimeSpan.FromMinutes(30));
        Assert.NotNull(await ReadAsync(start));

        _core.Clock.Advance(TimeSpan.FromTicks(1));
        Assert.Null(await ReadAsync(start));
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(1, false)]
    public async Task A_link_of_a_process_whose_clock_is_up_to_five_seconds_ahead_works(int ticks, bool works)
    {
        using var ahead = new Core(clock: TestClock.New());
        ahead.Clock.SetUtcNow(_core.Clock.GetUtcNow().AddSeconds(5).AddTicks(ticks));
        var (start, _) = await ahead.Links.IssueAsync("acme", displayName: null, None);

        Assert.Equal(works, await ReadAsync(start) is not null);
    }

    [Fact]
    public async Task Neither_a_state_nor_rubbish_is_a_link()
    {
        var consent = await ConfirmAsync(await IssueAsync("acme"));
        var (state, _) = await _core.States.IssueAsync(link: null, None);

        Assert.Null(await ReadAsync(state));
        Assert.Null(await ReadAsync(consent.Set.Value));
        Assert.Null(await ReadAsync("rubbish"));
        Assert.Null(await ReadAsync(""));
    }

    [Theory]
    [InlineData(null, "acme")]
    [InlineData("Acme Ltd.", "Acme Ltd.")]
    public async Task An_opened_link_shows_the_display_name_and_touches_no_storage(string? displayName, string shown)
    {
        var start = await IssueAsync("acme", displayName);

        Assert.Equal(new InstallResult.Confirm(start, shown), await OpenAsync(start));
        Assert.Empty(_store.Calls);
    }

    [Fact]
    public async Task A_link_that_is_not_ours_goes_no_further()
    {
        var bad = new InstallResult.Stopped(InstallProblem.BadLink);

        Assert.Equal(bad, await OpenAsync("rubbish"));
        Assert.Equal(bad, await PressAsync("rubbish"));
        Assert.Equal(bad, await PressAsync(start: null));
        Assert.Empty(_store.Calls);
    }

    [Fact]
    public async Task A_confirmed_link_is_saved_as_consumed_and_goes_on_without_a_token_of_Wix()
    {
        var start = await IssueAsync("acme");
        var link = (await ReadAsync(start))!;
        _core.Clock.Advance(TimeSpan.FromMinutes(1));

        var consent = await ConfirmAsync(start);

        var row = await _core.Get<IConsumedStateStore>().FindConsumedStateAsync(Convert.ToHexStringLower(link.Nonce), link.IssuedAt, None);
        Assert.Equal(
            ("link", ConsumedStateOutcome.Connected, new InstanceId(new Guid(link.Nonce)), link.IssuedAt, 32),
            (row!.CodeFingerprint, row.Outcome, row.InstanceId, row.IssuedAt, row.AttemptId.Length));
        Assert.DoesNotContain("token=", consent.Url.Reveal(), StringComparison.Ordinal);
        var confirmed = await LinkOfAsync(consent);
        Assert.Equal(("acme", _core.Clock.GetUtcNow()), (confirmed?.Customer, confirmed?.ConfirmedAt));
    }

    [Fact]
    public async Task A_used_link_is_recognized_in_its_own_browser_while_the_confirmation_counts()
    {
        var start = await IssueAsync("acme");
        var first = await ConfirmAsync(start);
        var other = await ConfirmAsync(await IssueAsync("another"));

        Assert.Equal(new InstallResult.UsedHere(), await PressAsync(start, other, first));
        Assert.Equal(new InstallResult.Stopped(InstallProblem.BadLink), await PressAsync(start, other));

        // Starting again makes a younger cookie for the same confirmation, which does not count for longer because of it.
        _core.Clock.Advance(TimeSpan.FromMinutes(9));
        var again = await BeginAsync(first);
        _core.Clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(new InstallResult.UsedHere(), await PressAsync(start, again));
        _core.Clock.Advance(TimeSpan.FromTicks(1));
        Assert.Equal(new InstallResult.Stopped(InstallProblem.BadLink), await PressAsync(start, again));
    }

    [Fact]
    public async Task An_install_that_Wix_starts_takes_the_customer_that_was_confirmed_last()
    {
        var first = await ConfirmAsync(await IssueAsync("first"));
        _core.Clock.Advance(TimeSpan.FromSeconds(1));
        var second = await ConfirmAsync(await IssueAsync("second"));
        _core.Clock.Advance(TimeSpan.FromSeconds(1));

        // Started again, so the youngest cookie holds the older confirmation.
        var third = await BeginAsync(first);
        Assert.Equal("first", (await LinkOfAsync(third))?.Customer);

        var consent = await BeginAsync(third, second, first);

        Assert.Equal("second", (await LinkOfAsync(consent))?.Customer);
    }

    [Theory]
    [InlineData(0, "acme")]
    [InlineData(1, null)]
    public async Task A_confirmation_counts_for_ten_minutes(int ticks, string? customer)
    {
        var confirmed = await ConfirmAsync(await IssueAsync("acme"));
        _core.Clock.Advance(TimeSpan.FromMinutes(9));
        var again = await BeginAsync(confirmed);
        _core.Clock.Advance(TimeSpan.FromMinutes(1) + TimeSpan.FromTicks(ticks));

        var consent = await BeginAsync(again);

        Assert.Equal(customer, (await LinkOfAsync(consent))?.Customer);
    }

    [Fact]
    public async Task The_consent_page_gets_what_Wix_asks_for_and_a_token_only_where_one_came()
    {
        const string AppAndRedirect = "appId=11111111-2222-4333-8444-555555555555&redirectUrl=https%3A%2F%2Ftokens.example.com%2Fapi%2Fredirect&state=";
        var own = await BeginAsync();
        var sent = Assert.IsType<InstallResult.Consent>(await _core.Start.BeginAsync(new InstallToken("a token&"), start: null, [], None));

        Assert.StartsWith($"https://www.wix.com/installer/install?{AppAndRedirect}", own.Url.Reveal(), StringComparison.Ordinal);
        Assert.StartsWith($"https://www.wix.com/installer/install?token=a%20token%26&{AppAndRedirect}", sent.Url.Reveal(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_oldest_of_more_than_twelve_installs_in_flight_is_dropped()
    {
        var begun = new List<InstallResult.Consent>();
        for (var number = 0; number < InstallStateService.MaxInFlight; number++)
        {
            var consent = await BeginAsync([.. begun]);
            Assert.Empty(consent.Removed);
            begun.Add(consent);
            _core.Clock.Advance(TimeSpan.FromSeconds(1));
        }

        begun.Reverse();
        Assert.Equal([begun[^1].Set.Name], (await BeginAsync([.. begun])).Removed);
    }

    [Fact]
    public async Task A_confirmed_link_drops_the_oldest_of_more_than_twelve_installs_in_flight()
    {
        var begun = new List<InstallResult.Consent>();
        for (var number = 0; number < InstallStateService.MaxInFlight; number++)
        {
            begun.Add(await BeginAsync());
            _core.Clock.Advance(TimeSpan.FromSeconds(1));
        }

        var consent = Assert.IsType<InstallResult.Consent>(await PressAsync(await IssueAsync("acme"), [.. begun]));

        Assert.Equal([begun[0].Set.Name], consent.Removed);
    }

    [Fact]
    public async Task A_busy_process_uses_no_link_up()
    {
        var start = await IssueAsync("acme");
        var turns = new List<IDisposable?>();
        for (var number = 0; number < ExchangeLimiter.MaxConcurrent; number++)
        {
            turns.Add(await _core.Limiter.TryEnterAsync(None));
        }

        var refused = await _core.RunAsync(() => PressAsync(start));

        Assert.Equal(new InstallResult.Stopped(InstallProblem.Busy), refused);
        Assert.Empty(_store.Calls);
        turns.ForEach(turn => turn!.Dispose());
        Assert.IsType<InstallResult.Consent>(await _core.RunAsync(() => PressAsync(start)));
    }

    [Fact]
    public async Task Confirming_a_link_gives_its_turn_back()
    {
        for (var number = 0; number < ExchangeLimiter.MaxConcurrent * 2; number++)
        {
            var start = await IssueAsync($"customer {number}");
            Assert.IsType<InstallResult.Consent>(await _core.RunAsync(() => PressAsync(start)));
        }
    }

    [Fact]
    public async Task Every_beginning_is_counted_by_its_outcome()
    {
        using var measured = new Measured(_core);
        var start = await IssueAsync("acme");

        await OpenAsync(start: null);
        await OpenAsync(start);
        var confirmed = await ConfirmAsync(start);
        await PressAsync(start, confirmed);
        await PressAsync(start);

        Assert.Equal(
            new() { ["outcome=consent"] = 2, ["outcome=confirm"] = 1, ["outcome=bad_link"] = 2 }, measured.CountsOf("wixoauth.install.requests"));
    }

    private Task<InstallResult> OpenAsync(string? start, params InstallResult.Consent[] cookies) =>
        _core.Start.BeginAsync(token: null, start, CookiesOf(cookies), None);

    private Task<InstallResult> PressAsync(string? start, params InstallResult.Consent[] cookies) =>
        _core.Start.ConfirmLinkAsync(start, CookiesOf(cookies), None);

    private static KeyValuePair<string, string>[] CookiesOf(InstallResult.Consent[] cookies) =>
        [.. cookies.Select(consent => KeyValuePair.Create(consent.Set.Name, consent.Set.Value))];

    private async Task<string> IssueAsync(string customer, string? displayName = null) => (await _core.Links.IssueAsync(customer, displayName, None)).Start;

    private Task<InstallLink?> ReadAsync(string start) => _core.Links.ReadAsync(start, None);

    private async Task<InstallResult.Consent> BeginAsync(params InstallResult.Consent[] cookies) =>
        Assert.IsType<InstallResult.Consent>(await OpenAsync(start: null, cookies));

    private async Task<InstallResult.Consent> ConfirmAsync(string start) =>
        Assert.IsType<InstallResult.Consent>(await PressAsync(start));

    private async Task<ConfirmedLink?> LinkOfAsync(InstallResult.Consent consent) =>
        (await _core.States.ReadAllAsync([new(consent.Set.Name, consent.Set.Value)], None)).InFlight.Single().Install.Link;
}

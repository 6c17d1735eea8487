using System.Runtime.ExceptionServices;
using System.Security.Cryptography;
using WixOAuth.Functions.Tests.Protection;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Install;

namespace WixOAuth.Functions.Tests.Install;

/// <summary>What a browser carries through an install, and what is made of cookies that it carries besides.</summary>
public sealed class InstallStateServiceTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;

    private readonly Core _core = new();
    private int _links;

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task Installs_in_flight_are_found_the_oldest_first()
    {
        var cookies = new List<KeyValuePair<string, string>>();
        foreach (var customer in new[] { "first", "second", "third" })
        {
            cookies.Insert(0, await CookieAsync(customer));
            _core.Clock.Advance(TimeSpan.FromMinutes(1));
        }

        var (inFlight, useless) = await _core.States.ReadAllAsync(cookies, None);

        Assert.Equal(["first", "second", "third"], inFlight.Select(install => install.Install.Link?.Customer));
        Assert.Equal(cookies.Select(cookie => cookie.Key).Reverse(), inFlight.Select(install => install.Name));
        Assert.Empty(useless);
    }

    [Fact]
    public async Task An_expired_cookie_is_removed_and_the_next_is_read()
    {
        var old = await CookieAsync("old");
        _core.Clock.Advance(InstallStateService.StateLifetime);
        Assert.Single((await _core.States.ReadAllAsync([old], None)).InFlight);
        _core.Clock.Advance(TimeSpan.FromTicks(1));

        var (inFlight, useless) = await _core.States.ReadAllAsync([old, await CookieAsync("new")], None);

        Assert.Equal("new", Assert.Single(inFlight).Install.Link?.Customer);
        Assert.Equal([old.Key], useless);
    }

    [Fact]
    public async Task A_cookie_that_does_not_open_is_removed_and_ends_the_search()
    {
        var (good, other) = (await CookieAsync("good"), await CookieAsync("other"));
        var forged = KeyValuePair.Create("__Host-wix-install-0123456789abcdef", $"{good.Value[..^2]}AA");

        var (inFlight, useless) = await _core.States.ReadAllAsync([good, forged, other], None);

        Assert.Equal("good", Assert.Single(inFlight).Install.Link?.Customer);
        Assert.Equal([forged.Key], useless);
    }

    [Fact]
    public async Task When_an_install_ends_the_cookies_of_its_link_lose_it_and_live_as_long_as_before()
    {
        var (ended, other) = (await CookieAsync("ended"), await CookieAsync("other"));
        var link = Assert.Single((await _core.States.ReadAllAsync([ended], None)).InFlight).Install.Link;
        _core.Clock.Advance(TimeSpan.FromMinutes(4));

        var finished = Assert.Single(await _core.States.FinishAsync(link, [other, ended], None));

        Assert.Equal((ended.Key, TimeSpan.FromMinutes(6)), (finished.Name, finished.MaxAge));
        Assert.Null(Assert.Single((await _core.States.ReadAllAsync([new(finished.Name, finished.Value)], None)).InFlight).Install.Link);
        Assert.Empty(await _core.States.FinishAsync(null, [other, ended], None));
    }

    [Fact]
    public async Task Cookies_whose_key_has_gone_hide_none_of_the_current_key()
    {
        using var before = new Core(keys: new FixedKeys(FixedKeys.NewKey()));
        var (_, first) = await before.States.IssueAsync(LinkOf("lost"), None);
        var (_, second) = await before.States.IssueAsync(LinkOf("lost"), None);

        var (inFlight, useless) = await _core.States.ReadAllAsync(
            [new(first.Name, first.Value), new(second.Name, second.Value), await CookieAsync("good")], None);

        Assert.Equal("good", Assert.Single(inFlight).Install.Link?.Customer);
        Assert.Equal([first.Name], useless);
    }

    [Theory]
    [InlineData("unrelated")]
    [InlineData("__Host-wix-install-")]
    [InlineData("__Host-wix-install-0123456789abcde")]
    [InlineData("__Host-wix-install-0123456789abcdef0")]
    [InlineData("__Host-wix-install-0123456789ABCDEF")]
    [InlineData("__Host-wix-install-0123456789abcdeg")]
    [InlineData("__host-wix-install-0123456789abcdef")]
    public async Task A_cookie_with_another_name_is_not_read(string name)
    {
        var good = await CookieAsync("good");

        var (inFlight, useless) = await _core.States.ReadAllAsync([new(name, "rubbish"), new(name, good.Value), good], None);

        Assert.Equal(good.Key, Assert.Single(inFlight).Name);
        Assert.Empty(useless);
    }

    [Fact]
    public async Task At_most_fifteen_cookies_are_read()
    {
        var cookies = new List<KeyValuePair<string, string>>();
        for (var number = 0; number < 20; number++)
        {
            cookies.Add(await CookieAsync($"{number}"));
        }

        Assert.Equal(15, (await _core.States.ReadAllAsync(cookies, None)).InFlight.Count);
    }

    [Fact]
    public async Task The_ticket_of_a_state_is_found_by_its_own_cookie_only()
    {
        var (state, cookie) = await _core.States.IssueAsync(LinkOf("customer"), None);
        var other = await CookieAsync("other");
        var (nonce, issuedAt) = (await _core.States.ReadStateAsync(state, None))!.Value;

        Assert.Equal(_core.Clock.GetUtcNow(), issuedAt);
        Assert.Equal("customer", (await _core.States.FindAsync([other, new(cookie.Name, cookie.Value), new(cookie.Name, "rubbish")], nonce, None))?.Link?.Customer);
        Assert.Null(await _core.States.FindAsync([other, new(other.Key, cookie.Value), new(cookie.Name, other.Value)], nonce, None));
    }

    // Each that does not open is an exception in .NET.
    [Fact]
    public async Task Of_many_cookies_with_the_name_of_one_state_one_is_opened()
    {
        var (state, cookie) = await _core.States.IssueAsync(null, None);
        var (nonce, _) = (await _core.States.ReadStateAsync(state, None))!.Value;
        var forged = KeyValuePair.Create(cookie.Name, cookie.Value[..^2] + (cookie.Value.EndsWith("AA", StringComparison.Ordinal) ? "BA" : "AA"));
        var (isOurs, failures) = (new AsyncLocal<bool> { Value = true }, 0);
        AppDomain.CurrentDomain.FirstChanceException += Count;

        try
        {
            Assert.Null(await _core.States.FindAsync([.. Enumerable.Repeat(forged, 40)], nonce, None));
        }
        finally
        {
            AppDomain.CurrentDomain.FirstChanceException -= Count;
        }

        Assert.Equal(1, failures);

        void Count(object? sender, FirstChanceExceptionEventArgs raised) => failures += isOurs.Value && raised.Exception is AuthenticationTagMismatchException ? 1 : 0;
    }

    private ConfirmedLink LinkOf(string customer) => new(++_links, _core.Clock.GetUtcNow(), customer);

    private async Task<KeyValuePair<string, string>> CookieAsync(string customer)
    {
        var (_, cookie) = await _core.States.IssueAsync(LinkOf(customer), None);
        return KeyValuePair.Create(cookie.Name, cookie.Value);
    }
}

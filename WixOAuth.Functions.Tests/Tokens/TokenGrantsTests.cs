using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Tokens;

public sealed class TokenGrantsTests
{
    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly DateTimeOffset Now = TestClock.Start;

    [Theory]
    [InlineData("RefreshToken", -1, true)]
    [InlineData("RefreshToken", 0, true)]
    [InlineData("RefreshToken", 1, false)]
    [InlineData("RefreshToken", null, false)]
    [InlineData("ClientCredentials", -1, false)]
    public void Refresh_token_out_of_use_is_due_at_its_time_and_never_where_client_credentials_are_preferred(
        string preferred, int? retryInTicks, bool isDue)
    {
        using var core = new Core(settings: ("Wix__PreferredGrant", preferred));
        var instance = InstanceOf(retryInTicks is { } ticks ? Fault(RefreshTokenFaultKind.Rejected, ticks) : null);

        Assert.Equal(isDue, core.Get<TokenGrants>().IsRefreshTokenDue(instance, Now));
    }

    [Theory]
    [InlineData("RefreshToken", "none", false, "RefreshToken, ClientCredentials")]
    [InlineData("RefreshToken", "unreadable", false, "RefreshToken, ClientCredentials")]
    [InlineData("RefreshToken", "rejected", false, "ClientCredentials, RefreshToken")]
    [InlineData("RefreshToken", "rejected", true, "RefreshToken, ClientCredentials")]
    [InlineData("RefreshToken", "rejected, due", false, "RefreshToken, ClientCredentials")]
    [InlineData("ClientCredentials", "none", false, "ClientCredentials, RefreshToken")]
    [InlineData("ClientCredentials", "none", true, "ClientCredentials, RefreshToken")]
    [InlineData("ClientCredentials", "rejected, due", false, "ClientCredentials, RefreshToken")]
    public void Preferred_grant_is_first_but_for_a_refresh_token_that_was_rejected_and_is_not_due(
        string preferred, string fault, bool isForced, string order)
    {
        using var core = new Core(settings: ("Wix__PreferredGrant", preferred));
        var instance = InstanceOf(fault switch
        {
            "unreadable" => Fault(RefreshTokenFaultKind.Unreadable, 1),
            "rejected" => Fault(RefreshTokenFaultKind.Rejected, 1),
            "rejected, due" => Fault(RefreshTokenFaultKind.Rejected, 0),
            _ => null,
        });

        Assert.Equal(order, string.Join(", ", core.Get<TokenGrants>().OrderFor(instance, isReadable: true, isForced, Now)));
        Assert.Equal([Grant.ClientCredentials], core.Get<TokenGrants>().OrderFor(instance, isReadable: false, isForced, Now));
    }

    [Fact]
    public void Without_the_fallback_only_the_refresh_token_is_used_whatever_happened_to_it()
    {
        using var core = new Core(settings: ("Wix__ClientCredentialsFallback", "false"));
        var instance = InstanceOf(Fault(RefreshTokenFaultKind.Rejected, 1));

        Assert.Equal([Grant.RefreshToken], core.Get<TokenGrants>().OrderFor(instance, isReadable: true, isForced: false, Now));
        Assert.Empty(core.Get<TokenGrants>().OrderFor(instance, isReadable: false, isForced: false, Now));
    }

    [Fact]
    public async Task Rejection_after_another_attempt_got_a_token_is_of_no_grant_and_ends_the_request()
    {
        using var core = new Core();
        core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(403));

        var answer = await RequestAsync(core, isStillCurrent: false);

        Assert.IsType<TokenAnswer.Rejected>(answer.Answer);
        Assert.Equal((Grant.RefreshToken, false, false), (answer.Grant, answer.RefreshTokenRejected, answer.EveryGrantRejected));
        Assert.Single(core.Wix.Calls);
    }

    [Fact]
    public async Task Rejection_of_both_grants_is_one_of_the_refresh_token_and_of_every_grant()
    {
        using var core = new Core();
        core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(403));

        var answer = await RequestAsync(core, isStillCurrent: true);

        Assert.Equal((Grant.ClientCredentials, true, true), (answer.Grant, answer.RefreshTokenRejected, answer.EveryGrantRejected));
        Assert.Equal(2, core.Wix.Calls.Count);
    }

    private static Task<GrantAnswer> RequestAsync(Core core, bool isStillCurrent) => core.Get<TokenGrants>().RequestAsync(
        Core.NewId(), [Grant.RefreshToken, Grant.ClientCredentials], new RefreshToken("refresh-1"), () => Task.FromResult(isStillCurrent), None);

    private static RefreshTokenFault Fault(RefreshTokenFaultKind kind, int retryInTicks) => new(kind, Now.AddDays(-1), 1, Now.AddTicks(retryInTicks));

    private static Instance InstanceOf(RefreshTokenFault? fault) =>
        new() { Id = Core.NewId(), Status = InstanceStatus.Active, Generation = 1, InstalledAt = Now, UpdatedAt = Now, RefreshTokenFault = fault };
}

using Azure.Data.Tables;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Storage;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Storage;

/// <summary>
/// Rows in both directions between this version and the one before refresh tokens had a life of their own (a7ea5fd). That
/// version raises on words that it does not know, opens both tokens with the row's generation, and drops columns that it
/// does not know when it writes.
/// </summary>
public sealed class RowCompatibilityTests : IDisposable
{
    /// <summary>Every column that the earlier version reads and writes.</summary>
    private static readonly HashSet<string> s_earlierColumns =
    [
        "PartitionKey", "RowKey", "Status", "Grant", "Customer", "SiteId", "SiteName", "SiteUrl", "AppVersion", "RefreshToken", "RefreshTokenKeyId",
        "AccessToken", "AccessTokenKeyId", "AccessTokenIssuedAt", "AccessTokenExpiresOn", "Generation", "LeaseOwner", "LeaseUntil", "CommitId", "ConsentId",
        "FailureCount", "Rejections", "FirstRejectedAt", "FailedAt", "LastError", "RetryAt", "DueAt", "InstalledAt", "ConsentedAt", "UpdatedAt",
        "RefreshedAt", "LastUsedAt", "RemovedAt", "Forgotten", "WixConsentedAt", "WixInstalledAt", "WixRemovedAt", "RemovalNotedAt", "InstalledBefore",
        "SetupCompletedAt", "SetupPending",
    ];

    /// <summary>The words of the earlier version, by column.</summary>
    private static readonly Dictionary<string, string[]> s_earlierWords = new()
    {
        ["Status"] = ["active", "reinstall_required", "removed"],
        ["Grant"] = ["refresh_token", "client_credentials"],
        ["LastError"] = ["rejected", "wix_unavailable", "unexpected_answer", "undecryptable", "secret_unavailable"],
    };

    private readonly Core _core = new();

    public void Dispose() => _core.Dispose();

    public static TheoryData<string> States => ["ok", "on fallback", "unreadable", "failing", "marked", "bridge", "removed"];

    [Theory]
    [MemberData(nameof(States))]
    public async Task The_earlier_version_can_read_every_row_and_what_it_writes_back_is_still_right(string state)
    {
        var instance = await MakeAsync(state);
        var row = InstanceRow.Of(instance);

        Assert.All(s_earlierWords, words => Assert.True(!row.TryGetValue(words.Key, out var word) || words.Value.Contains(word)));
        var before = InstanceRow.Read(instance.Id, row);
        Assert.Equal(instance, before);

        // As it writes any change: all that it does not know is gone.
        foreach (var column in row.Keys.Where(key => !s_earlierColumns.Contains(key)).ToList())
        {
            row.Remove(column);
        }

        var after = InstanceRow.Read(instance.Id, row);
        Assert.Equal((before.Status, before.Grant, before.RefreshToken, before.Generation), (after.Status, after.Grant, after.RefreshToken, after.Generation));
        Assert.Equal(
            (await _core.InstanceTokens.OpenRefreshTokenAsync(before))?.Reveal(), (await _core.InstanceTokens.OpenRefreshTokenAsync(after))?.Reveal());
        Assert.Equal(state == "removed" ? null : "refresh-1", (await _core.InstanceTokens.OpenRefreshTokenAsync(after))?.Reveal());
    }

    [Theory]
    [InlineData("on fallback")]
    [InlineData("bridge")]
    [InlineData("marked")]
    public async Task The_earlier_version_opens_the_refresh_token_with_the_generation_of_the_row(string state)
    {
        var instance = await MakeAsync(state);

        var opened = await _core.Protector.UnprotectRefreshTokenAsync(instance.Id, instance.Generation, instance.RefreshToken!, CancellationToken.None);

        Assert.Equal(("refresh-1", Grant.RefreshToken), (opened?.Reveal(), instance.Grant));
    }

    [Fact]
    public async Task A_row_of_the_earlier_version_is_read_as_it_is()
    {
        var row = InstanceRow.Of((await MakeAsync("ok")));
        Assert.Subset(s_earlierColumns, row.Keys.ToHashSet());
        var lost = InstanceRow.Read(InstanceRows.ReadId(row.RowKey)!.Value, new TableEntity(row) { ["Grant"] = "client_credentials", ["RefreshToken"] = null });

        Assert.Equal((Grant.ClientCredentials, RefreshTokenState.None), (lost.CurrentGrant, lost.RefreshTokenState));
    }

    private async Task<Instance> MakeAsync(string state)
    {
        var instance = (await _core.InstallAsync(Core.NewId())).Instance;
        var now = _core.Clock.GetUtcNow();
        var granted = new TokenAnswer.Granted(new("by-credentials"), null, now, now.AddHours(4));
        var refreshToken = await _core.InstanceTokens.OpenRefreshTokenAsync(instance);
        var rejected = RejectionPolicy.Observed(null, RefreshTokenFaultKind.Rejected, now);
        return state switch
        {
            "ok" => instance,
            "on fallback" => instance.Refreshed(Grant.ClientCredentials, await _core.InstanceTokens.SealAsync(instance.Id, 2, granted, refreshToken), rejected, "commit", now),
            "bridge" => instance.Refreshed(Grant.ClientCredentials, await _core.InstanceTokens.SealAsync(instance.Id, 2, granted, refreshToken), null, "commit", now),
            "unreadable" => instance.Refreshed(
                Grant.ClientCredentials,
                await _core.InstanceTokens.SealAsync(instance.Id, 2, granted, null),
                RejectionPolicy.Observed(null, RefreshTokenFaultKind.Unreadable, now),
                "commit",
                now),
            "failing" => instance.Failed(TokenError.Rejected, rejected, now, now) with { CountedRejections = new CountedRejections(3, now) },
            "marked" => instance.Failed(TokenError.Rejected, rejected, now, now).Marked(now),
            _ => Instance.Forget(instance, instance.Id, now),
        };
    }
}

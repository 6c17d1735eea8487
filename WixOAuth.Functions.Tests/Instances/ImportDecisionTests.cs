using WixOAuth.Functions.Tests.Storage;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Instances;

/// <summary>What an import does to what is stored.</summary>
public sealed class ImportDecisionTests
{
    private static readonly DateTimeOffset s_noon = new(2026, 3, 4, 12, 0, 0, TimeSpan.Zero);

    public static TheoryData<string, string, string> Cases => new()
    {
        { "unknown", "token", nameof(ImportOutcome.Imported) },
        { "unknown", "no token", nameof(ImportOutcome.Imported) },
        { "ok consent 5", "token consent 6", nameof(ImportOutcome.Refreshed) },
        { "ok consent 5", "token consent 5", nameof(ImportOutcome.Kept) },
        { "ok consent 5", "token consent 4", nameof(ImportOutcome.Kept) },
        { "ok consent 5", "token", nameof(ImportOutcome.Kept) },
        { "ok consent 5", "same consent 6", nameof(ImportOutcome.Unchanged) },
        { "ok", "token consent 6", nameof(ImportOutcome.Refreshed) },
        { "ok", "token", nameof(ImportOutcome.Kept) },
        { "rejected consent 5", "token", nameof(ImportOutcome.Refreshed) },
        { "rejected consent 5", "same", nameof(ImportOutcome.Refreshed) },
        { "rejected consent 5", "token consent 4", nameof(ImportOutcome.Refreshed) },
        { "unreadable consent 5", "token consent 4", nameof(ImportOutcome.Refreshed) },
        { "none", "token", nameof(ImportOutcome.Refreshed) },
        { "none", "no token", nameof(ImportOutcome.Kept) },
        { "marked consent 5", "token", nameof(ImportOutcome.Refreshed) },
        { "removed", "token consent 9", nameof(ImportOutcome.Removed) },
        { "forgotten", "token consent 9", nameof(ImportOutcome.Removed) },
        { "removed", "token revive", nameof(ImportOutcome.Imported) },
        { "forgotten", "token revive", nameof(ImportOutcome.Imported) },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void An_import_replaces_only_what_does_not_work_or_is_of_an_older_consent(string stored, string imported, string expected) => Assert.Equal(
        Enum.Parse<ImportOutcome>(expected),
        Instance.DecideImport(
            Stored(stored),
            new ImportedSite(null, ConsentIn(imported), imported.Contains("revive", StringComparison.Ordinal), null, null),
            hasToken: !imported.StartsWith("no token", StringComparison.Ordinal),
            isSameToken: imported.StartsWith("same", StringComparison.Ordinal)));

    [Fact]
    public void A_customer_that_is_stored_stays_and_one_that_is_not_is_taken()
    {
        var id = Samples.NewId();
        var site = new ImportedSite("imported", s_noon, false, null, null);
        Assert.Equal("stored", Imported(Stored("rejected consent 1")! with { Id = id, Customer = "stored" }, site).Customer);
        Assert.Equal("stored", Imported(Stored("ok consent 1")! with { Id = id, Customer = "stored", RemovalNotedAt = s_noon }, site).Customer);
        Assert.Equal("imported", Imported(Stored("rejected consent 1")! with { Id = id }, site).Customer);
        Assert.Equal("imported", Imported(null, site).Customer);

        // What was removed has no customer any more.
        Assert.Equal("imported", Imported(Stored("removed")! with { Id = id, Customer = "stored" }, site with { Revive = true }).Customer);

        static Instance Imported(Instance? before, ImportedSite site) =>
            Instance.Imported(before, before?.Id ?? Samples.NewId(), site, TokensFor(before), "import", s_noon.AddDays(1));
    }

    [Fact]
    public void A_revived_site_starts_again_so_that_no_older_tombstone_overrides_it()
    {
        var before = Stored("forgotten")! with { RemovedAt = s_noon.AddHours(3), WixRemovedAt = s_noon.AddHours(3) };
        var after = Instance.Imported(before, before.Id, new ImportedSite(null, s_noon, true, null, null), TokensFor(before), "import", s_noon.AddHours(9));

        Assert.Equal((InstanceStatus.Active, false, before.Generation + 1), (after.Status, after.Forgotten, after.Generation));
        Assert.Equal(s_noon.AddHours(9), after.InstalledAt);
        Assert.True(after.InstalledBefore);
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(3, false)]
    [InlineData(4, true)]
    public void A_revived_site_has_no_consent_of_before_its_removal(int consent, bool isKept)
    {
        var before = Stored("forgotten")! with { RemovedAt = s_noon.AddHours(3) };
        var after = Instance.Imported(before, before.Id, new ImportedSite(null, s_noon.AddHours(consent), true, null, null), TokensFor(before), "import", s_noon.AddHours(9));

        Assert.Equal(isKept ? s_noon.AddHours(consent) : null, after.ConsentedAt);
    }

    [Fact]
    public void An_imported_site_is_not_in_use()
    {
        var after = Instance.Imported(null, Samples.NewId(), new ImportedSite(null, s_noon, false, null, null), TokensFor(null), "import", s_noon.AddDays(9));
        Assert.Equal(s_noon, after.LastUsedAt);
    }

    private static ProtectedTokens TokensFor(Instance? before)
    {
        var text = new ProtectedText(new string('a', 32), new byte[] { 1 });
        return new ProtectedTokens(Instance.NextGeneration(before), text, text, s_noon, s_noon.AddMinutes(5));
    }

    private static DateTimeOffset? ConsentIn(string words) =>
        words.Split("consent ") is [_, var hour] ? s_noon.AddHours(int.Parse(hour, System.Globalization.CultureInfo.InvariantCulture)) : null;

    private static Instance? Stored(string words)
    {
        var kind = words.Split(' ')[0];
        var text = new ProtectedText(new string('a', 32), new byte[] { 1 });
        var instance = Samples.NewInstance() with { ConsentedAt = ConsentIn(words), RefreshToken = text };
        return kind switch
        {
            "unknown" => null,
            "ok" => instance,
            "rejected" => instance with { RefreshTokenFault = new RefreshTokenFault(RefreshTokenFaultKind.Rejected, s_noon, 1, null) },
            "unreadable" => instance with { RefreshTokenFault = new RefreshTokenFault(RefreshTokenFaultKind.Unreadable, s_noon, 1, null) },
            "none" => instance with { RefreshToken = null, Grant = Grant.ClientCredentials },
            "marked" => instance with { Status = InstanceStatus.ReinstallRequired },
            "removed" => Instance.AppRemoved(instance, instance.Id, s_noon, false, s_noon),
            "forgotten" => Instance.Forget(instance, instance.Id, s_noon),
            _ => throw new ArgumentException(words),
        };
    }
}

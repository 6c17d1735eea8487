using Azure.Data.Tables;
using WixOAuth.Cli.Restoring;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Maintenance;

/// <summary>What a restore writes where the table has rows already.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class RestoreTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly DateTimeOffset s_noon = new(2026, 3, 4, 12, 0, 0, TimeSpan.Zero);
    private CopyWorld _world = null!;

    public async Task InitializeAsync() => _world = await CopyWorld.CreateAsync(azurite);

    public Task DisposeAsync()
    {
        _world.Dispose();
        return Task.CompletedTask;
    }

    public static TheoryData<string, bool, string, string> Pairs => new()
    {
        { "a later consent wins over a higher generation", true, "active consent 5 generation 1", "active consent 4 generation 9" },
        { "an earlier consent loses", false, "active consent 4 generation 9", "active consent 5 generation 1" },
        { "within one consent the higher generation wins", true, "active consent 5 generation 3", "active consent 5 generation 2" },
        { "the same row is left alone", false, "active consent 5 generation 3", "active consent 5 generation 3" },
        { "a marked site counts as an installed one", true, "reinstall_required consent 5 generation 3", "active consent 5 generation 2" },
        { "without a consent the generation decides", true, "active generation 3", "active generation 2" },
        { "a consent beats a site that has none", true, "active consent 5 generation 1", "active generation 2" },
        { "a tombstone beats an older consent", true, "removed consent 5 removed 6 generation 2", "active consent 5 generation 9" },
        { "a tombstone does not beat a later consent", false, "removed consent 5 removed 6 generation 9", "active consent 7 generation 1" },
        { "a site of the copy does not undo a later removal", false, "active consent 5 generation 9", "removed consent 5 removed 6 generation 2" },
        { "a later consent of the copy undoes an older removal", true, "active consent 7 generation 1", "removed consent 5 removed 6 generation 9" },
        { "a site installed without consent after a removal stays", false, "removed removed 6 generation 9", "active installed 7 generation 10" },
        { "of two tombstones of one consent the forgotten one wins", true, "removed consent 5 removed 6 forgotten generation 1", "removed consent 5 removed 6 generation 9" },
        { "a forgotten one is not lost to a plain tombstone", false, "removed consent 5 removed 6 generation 9", "removed consent 5 removed 6 forgotten generation 1" },
        { "a later consent wins over an import", true, "active consent 5 generation 1", "active imported 3 generation 7" },
        { "an import without a consent's time is not lost to an older consent", false, "active consent 1 generation 5", "active imported 3 generation 7" },
        { "an import without a consent's time wins over an older consent", true, "active imported 5 generation 1", "active consent 3 generation 9" },
        { "of two imports without a consent's time the later one wins", true, "active imported 5 generation 1", "active imported 3 generation 9" },
        { "an import of a token of an older consent keeps the removal before it", false, "active consent 2 generation 5", "active consent 1 imported 4 wix_removed 3 generation 7" },
        { "a site installed again keeps the removal before it", false, "active consent 1 installed 1 generation 5", "active installed 3 wix_removed 2 generation 7" },
        { "a removal before a later consent of the copy does not count", true, "active consent 5 generation 1", "active installed 3 wix_removed 2 generation 7" },
        { "a refuted removal does not count within one consent", true, "active consent 1 wix_removed 2 generation 9", "active consent 1 wix_removed 2 generation 3" },
        { "a removal that was in doubt in the copy counts after the site was installed again", false, "active consent 1 wix_removed 2 generation 5", "active installed 3 wix_removed 2 generation 7" },
        { "a removal by a clock of Wix that is ahead stays", false, "active consent 5 installed 7 generation 1", "removed consent 5 installed 7 removed 6 wix_removed 8 generation 2" },
        { "an old removal that Wix repeats into an emptied table does not count", true, "active consent 5", "removed saved 9 removed 9 wix_removed 4" },
        { "nor does one that meets what an old AppInstalled made there", true, "active consent 5", "removed saved 8 installed 3 removed 9 wix_removed 4" },
        { "a later removal counts in an emptied table", false, "active consent 5", "removed saved 9 removed 9 wix_removed 6" },
        { "a site that is forgotten in an emptied table stays so", false, "active consent 5", "removed saved 9 removed 9 wix_removed 4 forgotten" },
        { "a removal of a site that was known counts from when it was told", false, "active saved 3 consent 5", "removed saved 3 consent 3 removed 6 wix_removed 4" },
        { "an old removal in the copy of an emptied table ends no site", false, "removed saved 9 removed 9 wix_removed 4", "active consent 5" },
        { "a removed site does not come back by an old AppInstalled", true, "removed consent 5 removed 6 wix_removed 6", "active saved 9 installed 5" },
        { "a site installed after a removal stays, however late that was told", false, "removed consent 1 removed 8 wix_removed 3", "active saved 9 installed 4" },
        { "a forgotten site does not come back by an AppInstalled", true, "removed consent 5 removed 6 forgotten", "active saved 9 installed 7" },
        { "a forgotten site comes back by a consent", false, "removed consent 5 removed 6 forgotten", "active saved 9 consent 9 installed 9" },
        { "a site that is forgotten in an emptied table is not lost to a plain tombstone", false, "removed consent 5 removed 6 generation 9", "removed saved 9 removed 9 forgotten" },
        { "a removal after a later consent wins over a forgotten one", true, "removed consent 7 removed 8 generation 9", "removed consent 5 removed 6 forgotten" },
        { "an import without a token into an emptied table does not keep a token out", true, "active consent 5 token", "active saved 9 imported 9" },
        { "an import with a token keeps an older one out", false, "active consent 5 token", "active saved 9 imported 9 token" },
        { "an import without a token that revived a site keeps the token of before out", false, "active consent 5 token", "active saved 9 imported 9 installed_before" },
        { "a token that was lost within the life of a row does not come back over a later consent", false, "active saved 3 consent 3 token", "active saved 3 consent 9" },
        { "an import that names another customer keeps the token and the customer of the copy out", false, "active consent 5 token customer acme", "active saved 9 imported 9 customer bob" },
        { "an import that names the same customer does not", true, "active consent 5 token customer acme", "active saved 9 imported 9 customer acme" },
        { "an import without a token in the copy of an emptied table does not replace a token", false, "active saved 9 imported 9", "active consent 5 token" },
        { "an old AppInstalled in the copy of an emptied table revives no removed site", false, "active saved 9 installed 5", "removed consent 5 removed 6 wix_removed 6" },
        { "nor a forgotten one", false, "active saved 9 installed 7", "removed consent 5 removed 6 forgotten" },
        { "a site that consented after it was forgotten, and was installed again since, stays", false, "removed removed 6 forgotten", "active installed 8 consent_id" },
        { "a site that was forgotten in the copy of an emptied table stays so", true, "removed saved 9 removed 9 forgotten", "removed consent 5 removed 6 generation 9" },
        { "a forgotten site is not lost to an old removal that is repeated into an emptied table", true, "removed consent 5 removed 6 forgotten", "removed saved 9 removed 9 wix_removed 4" },
        { "nor to one in the copy of an emptied table", false, "removed saved 9 removed 9 wix_removed 4", "removed consent 5 removed 6 forgotten" },
        { "a site that had consented once and was installed after a removal stays, however late that was told", false, "removed consent 1 removed 8 wix_removed 3 consent_id", "active saved 1 installed 4 consent_id" },
        { "a row that cannot be read gives way", true, "active consent 5 generation 1", "purple consent 9 generation 9" },
        { "a row that cannot be read replaces nothing", false, "purple consent 9 generation 9", "active consent 5 generation 1" },
    };

    [Theory]
    [MemberData(nameof(Pairs))]
    public void A_row_of_the_copy_replaces_one_of_the_table_by_the_documented_rules(string rule, bool replaces, string copied, string current) =>
        Assert.True(replaces == RestoredRow.Read(RowOf(copied)).Replaces(RestoredRow.Read(RowOf(current))), rule);

    [Fact]
    public void Of_two_rows_at_most_one_replaces_the_other()
    {
        var random = new Random(7);
        for (var i = 0; i < 100_000; i++)
        {
            var (one, other) = (AnyRow(random), AnyRow(random));
            Assert.False(
                RestoredRow.Read(RowOf(one)).Replaces(RestoredRow.Read(RowOf(other))) && RestoredRow.Read(RowOf(other)).Replaces(RestoredRow.Read(RowOf(one))),
                $"{one} and {other}");
        }
    }

    [Fact]
    public async Task A_restore_into_a_damaged_table_restores_what_is_lost_and_leaves_the_rest()
    {
        var ids = Enumerable.Range(0, 30).Select(_ => Core.NewId()).ToList();
        foreach (var id in ids)
        {
            await _world.Core.InstallAsync(id, refresh: $"refresh of {id}");
            await _world.Store.SaveLastUseAsync(id, _world.Clock.GetUtcNow(), None);
        }

        var manifest = await _world.BackUpAsync();

        // 10 are gone, 5 have lost their index rows, 5 have a row in the index that leads nowhere, 2 were installed again,
        // and 1 was removed.
        var (lost, consented, removed) = (ids[..10], ids[20..22], ids[22]);
        foreach (var id in lost)
        {
            await _world.LoseAsync(id);
        }

        foreach (var row in await CopyWorld.RowsAsync(_world.Table).Where(row => RowKinds.IsIndex(row.RowKey) && ids[10..15].Any(id => row.RowKey.EndsWith(id.ToString(), StringComparison.Ordinal))).ToListAsync())
        {
            await _world.Table.DeleteEntityAsync(row);
        }

        foreach (var id in ids[15..20])
        {
            await _world.Table.AddEntityAsync(new TableEntity(InstanceRows.ShardOf(id), InstanceRows.DueKey(s_noon, id)));
            await _world.Table.AddEntityAsync(new TableEntity(InstanceRows.ShardOf(id), InstanceRows.StatusKey(InstanceStatus.ReinstallRequired, id)));
        }

        _world.Clock.Advance(TimeSpan.FromHours(1));
        foreach (var id in consented)
        {
            await _world.LoseAsync(id);
            await _world.Core.InstallAsync(id, refresh: $"new refresh of {id}");
        }

        await _world.ChangeAsync(removed, before => Instance.AppRemoved(before, removed, _world.Clock.GetUtcNow(), false, _world.Clock.GetUtcNow()));

        var summary = await _world.RestoreAsync(manifest);

        Assert.Equal((10, 20, 0), (summary.Written, summary.Kept, summary.Forgotten));
        await BackupTests.AssertIndexesAgreeAsync(_world.Table, 30);
        foreach (var id in ids.Where(id => id != removed))
        {
            Assert.Equal(consented.Contains(id) ? $"new refresh of {id}" : $"refresh of {id}", await _world.Core.RefreshTokenOfAsync(id));
            Assert.NotNull(await _world.Store.FindLastUseAsync(id, None));
        }

        Assert.Equal(InstanceStatus.Removed, (await _world.Core.ReadAsync(removed)).Status);

        // Once more changes nothing.
        var before = await CopyWorld.DumpAsync(_world.Table);
        Assert.Equal((0, 30), ((await _world.RestoreAsync(manifest)).Written, (await _world.RestoreAsync(manifest)).Kept));
        Assert.Equal(before, await CopyWorld.DumpAsync(_world.Table));
    }

    [Theory]
    [InlineData("removed and installed again")]
    [InlineData("removed and revived by an import")]
    [InlineData("forgotten and revived by an import")]
    [InlineData("removed and revived by an import of an old consent")]
    [InlineData("forgotten and revived by an import of an old consent")]
    public async Task A_site_that_came_back_without_a_consent_keeps_neither_tokens_nor_customer_of_before(string what)
    {
        var id = Core.NewId();
        await _world.Core.InstallAsync(id, refresh: "before the removal");
        await _world.ChangeAsync(id, before => before! with { Customer = "customer of before" });
        var manifest = await _world.BackUpAsync();

        _world.Clock.Advance(TimeSpan.FromDays(1));
        await _world.ChangeAsync(id, before => what.StartsWith("forgotten", StringComparison.Ordinal) ? Instance.Forget(before, id, Now) : Instance.AppRemoved(before, id, Now, false, Now));
        _world.Clock.Advance(TimeSpan.FromDays(1));
        if (what.Contains("import", StringComparison.Ordinal))
        {
            var granted = new WixOAuth.Wix.TokenAnswer.Granted(new("access"), new("imported"), Now, Now.AddMinutes(5));
            var tokens = await _world.Core.InstanceTokens.SealAsync(id, 7, granted, granted.RefreshToken);
            DateTimeOffset? consentedAt = what.EndsWith("old consent", StringComparison.Ordinal) ? Now.AddDays(-3) : null;
            await _world.ChangeAsync(id, before => Instance.Imported(before, id, new ImportedSite(null, consentedAt, Revive: true, null, null), tokens, "import", Now));
        }
        else
        {
            await _world.ChangeAsync(id, before => Instance.AppInstalled(before, id, Now, mayUseClientCredentials: true, sendSetupCompleted: false, Now));
        }

        var came = await _world.Core.ReadAsync(id);
        var summary = await _world.RestoreAsync(manifest);

        Assert.Equal((0, 1), (summary.Written, summary.Kept));
        Assert.Empty(summary.CustomersLeft);
        Assert.Equal((InstanceStatus.Active, null), (came.Status, came.Customer));
        Assert.Equal(came, await _world.Core.ReadAsync(id));
    }

    [Fact]
    public async Task A_customer_of_a_site_that_was_connected_again_in_an_emptied_table_is_named_and_not_attached()
    {
        var (without, other, same, imported, changed, noConsent) = (Core.NewId(), Core.NewId(), Core.NewId(), Core.NewId(), Core.NewId(), Core.NewId());
        InstanceId[] lost = [without, other, same, imported, noConsent];
        foreach (var id in lost.Append(changed))
        {
            await _world.Core.InstallAsync(id);
            await NameAsync(id, id == noConsent ? null : "acme");
        }

        var manifest = await _world.BackUpAsync();
        _world.Clock.Advance(TimeSpan.FromHours(1));
        await NameAsync(changed, "by our own app");
        foreach (var id in lost)
        {
            await _world.LoseAsync(id);
        }

        foreach (var id in new[] { without, other, same })
        {
            await SaveConsentAsync(id);
        }

        await NameAsync(other, "another");
        await NameAsync(same, "acme");
        await _world.ChangeAsync(imported, _ => Instance.Imported(null, imported, new ImportedSite(null, null, false, null, null), NoRefreshToken(), "import", Now));
        await _world.ChangeAsync(noConsent, _ => Instance.AppInstalled(null, noConsent, Now.AddDays(-1), true, false, Now));
        await NameAsync(noConsent, "named in the emptied table");

        var summary = await _world.RestoreAsync(manifest);

        Assert.Equal((2, 4), (summary.Written, summary.Kept));
        Assert.Equal(
            new CustomerLeft[] { new($"{without}", "acme", null), new($"{other}", "acme", "another"), new($"{noConsent}", "named in the emptied table", null) }.OrderBy(left => left.InstanceId, StringComparer.Ordinal),
            summary.CustomersLeft);
        Assert.Null((await _world.Core.ReadAsync(without)).Customer);
        Assert.Equal(("acme", true), ((await _world.Core.ReadAsync(imported)).Customer, (await _world.Core.ReadAsync(imported)).RefreshToken is not null));

        Task NameAsync(InstanceId id, string? customer) => _world.ChangeAsync(id, before => before!.WithCustomer(customer, Now));

        ProtectedTokens NoRefreshToken() => new(1, new ProtectedText(new string('a', 32), new byte[] { 1 }), null, Now, Now.AddMinutes(5));
    }

    [Fact]
    public async Task A_lease_does_not_come_back()
    {
        var id = Core.NewId();
        await _world.Core.InstallAsync(id);
        await _world.ChangeAsync(id, before => before!.Leased("somebody", _world.Clock.GetUtcNow().AddMinutes(1)));
        var manifest = await _world.BackUpAsync();
        var restored = _world.NewTable();
        await _world.RestoreAsync(manifest, restored);

        var instance = (await new TableStore(restored).FindAsync(id, None))!.Instance;
        Assert.Null(instance.Lease);
        Assert.NotNull(instance.RefreshToken);
    }

    [Fact]
    public async Task An_instance_forgotten_after_the_copy_stays_forgotten()
    {
        var (kept, forgotten, again, later) = (Core.NewId(), Core.NewId(), Core.NewId(), Core.NewId());
        foreach (var id in new[] { kept, forgotten, again })
        {
            await _world.Core.InstallAsync(id, refresh: $"refresh of {id}");
        }

        var manifest = await _world.BackUpAsync();
        foreach (var id in new[] { forgotten, again, later })
        {
            await _world.Container.AddAsync(id, None);
        }

        // Azurite dated the forgotten ids by the real clock, so a later consent needs a later real time.
        _world.Clock.SetUtcNow(TimeProvider.System.GetUtcNow().AddHours(1));
        await _world.LoseAsync(again);
        await _world.Core.InstallAsync(again, refresh: "after all");
        await _world.LoseAsync(kept);
        await _world.LoseAsync(forgotten);
        var withConsent = await _world.BackUpAsync();

        var summary = await _world.RestoreAsync(manifest);

        Assert.Equal(3, summary.Forgotten);
        Assert.Equal($"refresh of {kept}", await _world.Core.RefreshTokenOfAsync(kept));
        Assert.Equal("after all", await _world.Core.RefreshTokenOfAsync(again));
        foreach (var id in new[] { forgotten, later })
        {
            var tombstone = await _world.Core.ReadAsync(id);
            Assert.Equal((InstanceStatus.Removed, true, null), (tombstone.Status, tombstone.Forgotten, tombstone.RefreshToken));
        }

        // A copy that has the later consent brings it into a new table.
        var restored = _world.NewTable();
        await _world.RestoreAsync(withConsent, restored);
        Assert.Equal(InstanceStatus.Active, (await new TableStore(restored).FindAsync(again, None))!.Instance.Status);
    }

    [Fact]
    public async Task A_forgotten_site_does_not_come_back_by_an_AppInstalled_that_is_repeated_into_an_emptied_table()
    {
        var (copied, later, removed, again) = (Core.NewId(), Core.NewId(), Core.NewId(), Core.NewId());
        await _world.Core.InstallAsync(copied);
        var manifest = await _world.BackUpAsync();
        foreach (var id in new[] { copied, later, removed, again })
        {
            await _world.Container.AddAsync(id, None);
        }

        // Azurite dated the forgotten ids by the real clock.
        _world.Clock.SetUtcNow(TimeProvider.System.GetUtcNow().AddHours(1));
        await _world.LoseAsync(copied);
        foreach (var id in new[] { copied, later })
        {
            await _world.ChangeAsync(id, _ => Instance.AppInstalled(null, id, Now.AddDays(-1), mayUseClientCredentials: true, sendSetupCompleted: false, Now));
        }

        await _world.ChangeAsync(removed, _ => Instance.AppRemoved(null, removed, Now.AddDays(-1), sendSetupCompleted: false, Now));
        await _world.Core.InstallAsync(again);
        var ofEmptiedTable = await _world.BackUpAsync();

        var summary = await _world.RestoreAsync(manifest);

        Assert.Equal((3, 0, 3), (summary.Written, summary.Kept, summary.Forgotten));
        foreach (var id in new[] { copied, later, removed })
        {
            var tombstone = await _world.Core.ReadAsync(id);
            Assert.Equal((InstanceStatus.Removed, true), (tombstone.Status, tombstone.Forgotten));
        }

        Assert.Equal(InstanceStatus.Active, (await _world.Core.ReadAsync(again)).Status);
        await BackupTests.AssertIndexesAgreeAsync(_world.Table, 4);

        // A copy that was made meanwhile does not bring it back either.
        var restored = _world.NewTable();
        Assert.Equal((4, 3), ((await _world.RestoreAsync(ofEmptiedTable, restored)).Written, (await _world.RestoreAsync(ofEmptiedTable, restored)).Forgotten));
        Assert.Equal(3, (await CopyWorld.RowsAsync(restored).ToListAsync()).Count(row => row.TryGetValue("Forgotten", out var isForgotten) && isForgotten is true));
    }

    [Fact]
    public async Task A_site_that_consented_after_it_was_forgotten_and_was_then_installed_without_a_consent_stays()
    {
        var id = Core.NewId();
        await _world.Core.InstallAsync(id);
        await _world.ChangeAsync(id, before => Instance.Forget(before, id, Now));
        await _world.Container.AddAsync(id, None);

        // Azurite dated the forgotten id by the real clock.
        _world.Clock.SetUtcNow(TimeProvider.System.GetUtcNow().AddHours(1));
        await SaveConsentAsync(id);
        await _world.ChangeAsync(id, before => Instance.AppRemoved(before, id, Now.AddDays(3), false, Now.AddDays(3)));
        await _world.ChangeAsync(id, before => Instance.AppInstalled(before, id, Now.AddDays(4), mayUseClientCredentials: true, sendSetupCompleted: false, Now.AddDays(4)));
        Assert.Equal((InstanceStatus.Active, null), ((await _world.Core.ReadAsync(id)).Status, (await _world.Core.ReadAsync(id)).ConsentedAt));
        var manifest = await _world.BackUpAsync();

        await _world.RestoreAsync(manifest);
        var restored = _world.NewTable();
        await _world.RestoreAsync(manifest, restored);

        Assert.Equal(InstanceStatus.Active, (await _world.Core.ReadAsync(id)).Status);
        Assert.Equal(InstanceStatus.Active, (await new TableStore(restored).FindAsync(id, None))!.Instance.Status);
    }

    [Fact]
    public async Task A_row_of_another_version_is_restored_as_it_is()
    {
        var id = Core.NewId();
        await _world.Core.InstallAsync(id);
        var row = await CopyWorld.RowsAsync(_world.Table).SingleAsync(row => InstanceRows.IsInstance(row.RowKey));
        row.Remove("UpdatedAt");
        row["OfALaterVersion"] = "kept";
        row["Status"] = "purple";
        await _world.Table.UpdateEntityAsync(row, row.ETag, TableUpdateMode.Replace);
        var manifest = await _world.BackUpAsync();

        var contents = await _world.CheckAsync(manifest);
        var restored = _world.NewTable();
        await _world.RestoreAsync(manifest, restored);

        Assert.Equal(1, contents.Unreadable);
        var back = await CopyWorld.RowsAsync(restored).SingleAsync(each => InstanceRows.IsInstance(each.RowKey));
        Assert.Equal(("kept", "purple"), (back["OfALaterVersion"], back["Status"]));
    }

    [Fact]
    public async Task A_site_that_is_written_during_the_restore_keeps_the_newer_of_both()
    {
        var ids = Enumerable.Range(0, 40).Select(_ => Core.NewId()).ToList();
        foreach (var id in ids)
        {
            await _world.Core.InstallAsync(id, refresh: "from the copy");
        }

        var manifest = await _world.BackUpAsync();
        foreach (var id in ids)
        {
            await _world.LoseAsync(id);
        }

        // Every second site consents again while the restore runs; the new consent wins, whichever is first.
        _world.Clock.Advance(TimeSpan.FromMinutes(1));
        var consenting = Task.Run(async () =>
        {
            foreach (var id in ids.Where((_, i) => i % 2 == 0))
            {
                await SaveConsentAsync(id);
            }
        });
        await _world.RestoreAsync(manifest);
        await consenting;

        for (var i = 0; i < ids.Count; i++)
        {
            Assert.Equal(i % 2 == 0 ? "new consent" : "from the copy", await _world.Core.RefreshTokenOfAsync(ids[i]));
        }
    }

    private DateTimeOffset Now => _world.Clock.GetUtcNow();

    private async Task SaveConsentAsync(InstanceId id)
    {
        var now = Now;
        var granted = new WixOAuth.Wix.TokenAnswer.Granted(new WixOAuth.Secrets.AccessToken("access"), new WixOAuth.Secrets.RefreshToken("new consent"), now, now.AddMinutes(5));
        await _world.Core.Get<ConsentSaver>().SaveAsync(id, new Consent(null, null, null, null, false), granted, granted.RefreshToken!);
    }

    private static string AnyRow(Random random)
    {
        string[] words = ["consent", "imported", "saved", "installed", "removed", "wix_removed", "generation"];
        string[] flags = ["forgotten", "token", "installed_before", "consent_id", "customer acme", "customer bob"];
        return string.Join(' ', words.Where(_ => random.Next(2) == 0).Select(word => $"{word} {random.Next(1, 6)}")
            .Concat(flags.Where(_ => random.Next(3) == 0))
            .Prepend(random.Next(2) == 0 ? "active" : "removed"));
    }

    private static TableEntity RowOf(string words)
    {
        var parts = words.Split(' ');
        var row = new TableEntity("00", "i|x") { ["Status"] = parts[0], ["Generation"] = 0L };
        for (var i = 1; i < parts.Length; i++)
        {
            switch (parts[i])
            {
                case "forgotten":
                    row["Forgotten"] = true;
                    break;
                case "token":
                    row["RefreshToken"] = new byte[] { 1 };
                    break;
                case "consent_id":
                    row["ConsentId"] = "first";
                    break;
                case "customer":
                    row["Customer"] = parts[++i];
                    break;
                case "installed_before":
                    row["InstalledBefore"] = true;
                    break;
                case "generation":
                    row["Generation"] = long.Parse(parts[++i], System.Globalization.CultureInfo.InvariantCulture);
                    break;
                default:
                    var name = parts[i] switch { "consent" => "ConsentedAt", "imported" => "ImportedAt", "removed" => "RemovedAt", "wix_removed" => "WixRemovedAt", "saved" => "InstalledAt", _ => "WixInstalledAt" };
                    row[name] = s_noon.AddHours(int.Parse(parts[++i], System.Globalization.CultureInfo.InvariantCulture));
                    break;
            }
        }

        return row;
    }
}

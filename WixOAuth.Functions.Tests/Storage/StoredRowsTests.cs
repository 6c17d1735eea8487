using System.Globalization;
using System.Text;
using System.Text.Json;
using Azure.Data.Tables;
using WixOAuth.Cli.Import;
using WixOAuth.Functions.Tests.Protection;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Http;
using WixOAuth.Instances;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Protection;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Storage;

/// <summary>
/// What version 46a4f3c stores is read, and is written back as it was. stored-rows.jsonl has its rows, as the lines of a
/// backup, with every column and no code of ours to write them; the tokens are sealed by another program. A change that
/// fails here loses data of a deployment: read the old name too, and write it for as long as that version may come back.
/// </summary>
public sealed class StoredRowsTests
{
    private const string Active = "i|11111111-0000-4000-8000-111111111111";
    private const string OnFallback = "i|22222222-0000-4000-8000-222222222222";
    private const string Marked = "i|33333333-0000-4000-8000-333333333333";
    private const string Forgotten = "i|44444444-0000-4000-8000-444444444444";

    private static readonly Dictionary<string, TableEntity> s_rows = Repository.Read("WixOAuth.Functions.Tests", "Storage", "stored-rows.jsonl")
        .Split('\n', StringSplitOptions.RemoveEmptyEntries)
        .Select(line => RowJson.Read(Encoding.UTF8.GetBytes(line)))
        .ToDictionary(row => row.RowKey);

    public static TheoryData<string> Keys => [.. s_rows.Keys];

    [Theory]
    [MemberData(nameof(Keys))]
    public void Every_column_is_read_and_written_under_its_name(string key) => Assert.Equal(ColumnsOf(s_rows[key]), ColumnsOf(Rewrite(s_rows[key])));

    [Theory]
    [InlineData("Status")]
    [InlineData("Generation")]
    [InlineData("InstalledAt")]
    [InlineData("UpdatedAt")]
    public void A_row_without_a_required_column_is_not_read(string column)
    {
        var row = new TableEntity(s_rows[Active]);
        row.Remove(column);

        Assert.Throws<InvalidDataException>(() => Rewrite(row));
    }

    [Theory]
    [InlineData(Active, "active", RefreshTokenState.Ok, Grant.RefreshToken, "refresh of 1", "access of 1")]
    [InlineData(OnFallback, "active", RefreshTokenState.Unreadable, Grant.ClientCredentials, "refresh of 2", "access of 2")]
    [InlineData(Marked, "reinstall_required", RefreshTokenState.Rejected, Grant.RefreshToken, "refresh of 3", null)]
    [InlineData(Forgotten, "removed", RefreshTokenState.None, Grant.RefreshToken, null, null)]
    internal async Task The_tokens_of_a_site_open(string key, string status, RefreshTokenState state, Grant grant, string? refreshToken, string? accessToken)
    {
        var instance = Read(s_rows[key]);
        var protector = new TokenProtector(new FixedKeys(new ProtectionKey("049c93ea0e2169da0d573c9698ca83ff", [.. Enumerable.Range(0, ProtectionKey.Length).Select(number => (byte)number)])));

        Assert.Equal((status, state, grant), (SnakeCaseEnum.Of(instance.Status), instance.RefreshTokenState, instance.CurrentGrant));
        Assert.Equal(refreshToken, (await protector.OpenRefreshTokenAsync(instance, CancellationToken.None))?.Reveal());
        Assert.Equal(
            accessToken,
            instance.AccessToken is { } text ? (await protector.UnprotectAccessTokenAsync(instance.Id, instance.Generation, text, CancellationToken.None))?.Reveal() : null);
    }

    [Fact]
    public void Observations_of_a_site_have_their_meaning()
    {
        Assert.Equal(new RefreshTokenFault(RefreshTokenFaultKind.Unreadable, Time(20, 1), 4, Time(29, 1)), Read(s_rows[OnFallback]).RefreshTokenFault);
        Assert.Equal(3, Read(s_rows[OnFallback]).RefreshTokenGeneration);
        Assert.Equal(new Failures(8, 7, Time(26, 2), Time(27, 2), TokenError.Rejected, Time(28, 2)), Read(s_rows[Marked]).Failures);
        Assert.Equal((new CountedRejections(6, Time(26, 3)), Time(27, 3)), (Read(s_rows[Marked]).CountedRejections, Read(s_rows[Marked]).MarkedAt));
        Assert.Equal((Time(9, 8), Time(9, 7), true), (Read(s_rows[Forgotten]).RemovedAt, Read(s_rows[Forgotten]).WixRemovedAt, Read(s_rows[Forgotten]).Forgotten));
        Assert.Equal(new SweepState(Time(28, 10), OnFallback: 2, Unreadable: 1, IsSecretSuspect: true, IsWixThrottled: true), InstanceRows.ToSweepState(s_rows["w|sweep"]));
    }

    [Fact]
    public void The_manifest_of_a_backup_is_read()
    {
        const string Stored = """
            {
              "format": 1, "table": "WixInstances", "started_at": "2026-11-28T02:37:00+00:00", "finished_at": "2026-11-28T02:38:00+00:00",
              "keys": { "049c93ea0e2169da0d573c9698ca83ff": 3 },
              "parts": [{ "name": "20261128T023700Z-3fa1/00.jsonl.gz", "rows": 10, "instances": 4, "bytes": 900, "sha256": "ab" }]
            }
            """;

        var manifest = JsonSerializer.Deserialize(Stored, BackupJson.Default.BackupManifest)!;

        Assert.Equal((BackupManifest.CurrentFormat, "WixInstances", 10, 4), (manifest.Format, manifest.Table, manifest.Rows, manifest.Instances));
        Assert.Equal(3, manifest.Keys["049c93ea0e2169da0d573c9698ca83ff"]);
        Assert.Equal(TimeSpan.FromMinutes(1), manifest.FinishedAt - manifest.StartedAt);
        Assert.Equal(new BackupPart("20261128T023700Z-3fa1/00.jsonl.gz", 10, 4, 900, "ab"), Assert.Single(manifest.Parts));
    }

    [Fact]
    public void The_journal_of_an_import_goes_on()
    {
        using var folder = new TemporaryFolder();
        var file = Path.Combine(folder.Path, "sites.csv");
        File.WriteAllText(file + ".journal", "wixoauth import 1 hash https://wixoauth.example.com/\n2 imported\n3 kept\n");

        using var journal = ImportJournal.Open(file, "hash", new Uri("https://wixoauth.example.com"));

        Assert.Equal(new Dictionary<long, string> { [2] = "imported", [3] = "kept" }, journal.Done);
    }

    [Fact]
    public void The_cursor_of_a_list_goes_on()
    {
        Assert.True(ListCursor.TryRead("AREREREAAEAAgAARERERERHgFsp6nms", "active", out var last));
        Assert.Equal(InstanceRows.ReadId(Active), last);
    }

    private static Instance Read(TableEntity row) => InstanceRow.Read(InstanceRows.ReadId(row.RowKey)!.Value, row);

    private static TableEntity Rewrite(TableEntity row) => row.RowKey.Split('|') switch
    {
        ["i", ..] => InstanceRow.Of(Read(row)),
        ["n", var ticks, var nonce] => InstanceRows.ToRow(InstanceRows.ToConsumedState(nonce, new DateTimeOffset(long.Parse(ticks, CultureInfo.InvariantCulture), TimeSpan.Zero), row)),
        ["o" or "p", ..] => OutboxRows.ToRow(OutboxRows.ToEvent(row)!),
        ["u", ..] => InstanceRows.ToLastUseRow(InstanceRows.ReadId(row.RowKey)!.Value, InstanceRows.ToLastUse(row)),
        ["h", ..] => InstanceRows.ToRow(InstanceRows.ToTally(row)!),
        _ => InstanceRows.ToRow(InstanceRows.ToSweepState(row)),
    };

    private static IEnumerable<string> ColumnsOf(TableEntity row) =>
        row.Where(column => column.Value is not null).Select(column => $"{column.Key} {column.Value.GetType().Name} {JsonSerializer.Serialize(column.Value)}").Order(StringComparer.Ordinal);

    private static DateTimeOffset Time(int day, int hour) => new DateTimeOffset(2026, 11, day, hour, 0, 5, TimeSpan.Zero).AddTicks(1_234_567);
}

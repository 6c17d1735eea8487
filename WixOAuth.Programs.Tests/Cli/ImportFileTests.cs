using System.IO.Pipes;
using System.Text;
using WixOAuth.Cli;
using WixOAuth.Cli.Import;

namespace WixOAuth.Programs.Tests.Cli;

/// <summary>The files that people have.</summary>
public sealed class ImportFileTests : IDisposable
{
    private const string One = "11111111-2222-4333-8444-555555555555";
    private const string Two = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
    private static readonly DateTimeOffset s_now = new(2026, 6, 1, 12, 0, 0, TimeSpan.Zero);
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("instanceId,refreshToken\n{1},r-1\n{2},r-2\n")]
    [InlineData("refresh_token,instance_id\r\nr-1,{1}\r\nr-2,{2}\r\n")]
    [InlineData("\uFEFFInstance ID;Refresh Token\n{1};r-1\n{2};r-2")]
    [InlineData("id,name,wixInstanceId,REFRESH-TOKEN\n1,\"a, b\",{1},r-1\n2,x,\"{2}\",\"r-2\"\n")]
    [InlineData("instanceId\trefreshToken\n{1}\tr-1\n\n{2}\tr-2\n")]
    [InlineData("{\"instanceId\":\"{1}\",\"refreshToken\":\"r-1\"}\n{\"refresh_token\":\"r-2\",\"instance_id\":\"{2}\",\"more\":{\"a\":1}}\n")]
    [InlineData("\n\n{\"instance\":\"{1}\",\"refresh\":\"r-1\"}\r\n\r\n{\"instance\":\"{2}\",\"refresh\":\"r-2\"}")]
    public async Task Columns_may_come_in_any_order_and_under_the_names_people_use(string text)
    {
        var sites = await ReadAsync(text);

        Assert.All(sites, site => Assert.Null(site.Problem));
        Assert.Equal([(One, "r-1"), (Two, "r-2")], sites.Select(site => (site.InstanceId, site.RefreshToken!.Reveal())));
    }

    [Fact]
    public async Task A_line_that_cannot_be_sent_is_named_by_its_number_and_never_quoted()
    {
        var sites = await ReadAsync($"instanceId,note,refreshToken,consentedAt\n{One},\"two\nlines\",s3cret-1,\nnot-a-guid,,s3cret-2,\n{Two},,,\n{Two},,s3cret-3,yesterday\n{Two},s3cret-4\n{Two},,s3cret-5,2026-01-02\n{Two},,s3cret-6,0001-01-01 00:00:00\n");

        Assert.Equal([2L, 4, 5, 6, 7, 8, 9], sites.Select(site => site.Line));
        Assert.Equal([true, false, false, false, false, true, false], sites.Select(site => site.Problem is null));
        Assert.All(sites, site => Assert.DoesNotContain("s3cret", $"{site} {site.Problem}", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_quote_that_never_ends_is_named_by_its_line()
    {
        var sites = await ReadAsync($"instanceId,refreshToken\n{One},r-1\n{Two},\"s3cret{new string('x', 3 << 20)}\n");

        Assert.Equal([true, false], sites.Select(site => site.Problem is null));
        Assert.DoesNotContain("s3cret", sites[1].Problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("2026-01-02T03:04:05Z")]
    [InlineData("2026-01-02 03:04:05")]
    [InlineData("2026-01-02 03:04:05.000000+00")]
    [InlineData("2026-01-02T04:04:05+01:00")]
    [InlineData("1767323045")]
    [InlineData("1767323045000")]
    public async Task A_time_may_be_ISO_8601_or_a_Unix_time(string time) => Assert.Equal(
        new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero),
        Assert.Single(await ReadAsync($"instanceId,refreshToken,created_at\n{One},r,{time}\n")).ConsentedAt);

    [Theory]
    [InlineData("03/04/2026")]
    [InlineData("2026/03/04")]
    [InlineData("04.03.2026")]
    [InlineData("4 Mar 2026")]
    [InlineData("10:30")]
    [InlineData("2026-30-04")]
    [InlineData("20260304")]
    [InlineData("202603041030")]
    [InlineData("46085.5")]
    [InlineData("0")]
    public async Task A_time_that_could_mean_another_is_a_bad_line(string time) =>
        Assert.Contains("neither ISO 8601 nor a Unix time", Assert.Single(await ReadAsync($"instanceId,refreshToken,created_at\n{One},r,{time}\n")).Problem, StringComparison.Ordinal);

    [Theory]
    [InlineData("{\"a\":1}")]
    [InlineData("[\"r-1\"]")]
    [InlineData("true")]
    public async Task A_known_name_with_a_value_that_is_no_text_is_a_bad_line(string value)
    {
        var sites = await ReadAsync($"{{\"instanceId\":\"{One}\",\"refreshToken\":{value}}}\n{{\"instanceId\":\"{Two}\",\"refreshToken\":\"r-2\",\"consentedAt\":{value}}}\n");

        Assert.Equal(["RefreshToken is neither a text nor a number", "ConsentedAt is neither a text nor a number"], sites.Select(site => site.Problem));
    }

    [Fact]
    public async Task Names_that_are_not_used_and_sites_without_a_refresh_token_are_reported()
    {
        using var file = await OpenAsync("{\"instanceId\":\"{1}\",\"refreshTokn\":\"r-1\"}\n{\"_id\":1,\"instanceId\":\"{2}\",\"refreshToken\":null,\"refreshTokn\":\"r-2\"}\nnonsense\n");

        var sites = await file.ReadAsync(CancellationToken.None).ToListAsync();

        Assert.Equal([true, true, false], sites.Select(site => site.Problem is null));
        Assert.Equal(["refreshTokn", "_id"], file.IgnoredColumns);
        Assert.Equal(2, file.WithoutToken);
    }

    [Theory]
    [InlineData("instanceId,refreshToken,customer\n{1},r-1,Müller\n")]
    [InlineData("{\"instanceId\":\"{1}\",\"refreshToken\":\"r-1\",\"customer\":\"Müller\"}\n")]
    public async Task A_customer_that_was_not_saved_as_UTF_8_is_a_bad_line(string text)
    {
        Assert.Equal("Müller", Assert.Single(await ReadAsync(text)).Customer);
        Assert.Contains("save the file as UTF-8", Assert.Single(await ReadAsync(text, Encoding.Latin1)).Problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("instanceId,refreshToken\n{1},r-1\n{2},r-2\n")]
    [InlineData("{\"instanceId\":\"{1}\",\"refreshToken\":\"r-1\"}\n{\"instanceId\":\"{2}\",\"refreshToken\":\"r-2\"}\n")]
    public async Task A_file_may_be_UTF_16_as_PowerShell_writes_it(string text) =>
        Assert.Equal([(One, "r-1"), (Two, "r-2")], (await ReadAsync(text, Encoding.Unicode)).Select(site => (site.InstanceId, site.RefreshToken?.Reveal())));

    [Fact]
    public async Task Of_a_table_that_sqlcmd_prints_only_the_sites_are_taken_and_NULL_is_nothing()
    {
        var sites = await ReadAsync(
            "instanceId,refreshToken,customer,consentedAt\r\n----------,------------,--------,-----------\r\n{1},r-1,NULL,NULL\r\n{2},NULL,c-2,2026-01-02 03:04:05.0000000\r\n\r\n(2 rows affected)\r\n");

        Assert.Equal([false, true, false, false], sites.Select(site => site.Problem is null));
        Assert.Equal((null, null), (sites[1].Customer, sites[1].ConsentedAt));
    }

    [Theory]
    [InlineData("\\N")]
    [InlineData("null")]
    public async Task What_stands_for_nothing_is_no_customer(string nothing)
    {
        var sites = await ReadAsync($"instanceId,refreshToken,customer,consentedAt\n{One},r-1,{nothing},{nothing}\n{Two},{nothing},c-2,\n");

        Assert.Equal([null, "c-2"], sites.Select(site => site.Customer));
        Assert.Equal([true, false], sites.Select(site => site.Problem is null));
    }

    [Theory]
    [InlineData("\"null\"", "null")]
    [InlineData("\"\\\\N\"", "\\N")]
    [InlineData("\"NULL\"", null)]
    [InlineData("null", null)]
    public async Task A_customer_of_an_export_may_be_named_null(string customer, string? expected)
    {
        var site = Assert.Single(await ReadAsync($"{{\"instance_id\":\"{One}\",\"refresh_token\":\"r-1\",\"customer\":{customer}}}\n"));

        Assert.Equal((null, expected), (site.Problem, site.Customer));
    }

    [Theory]
    [InlineData("\"customer\":null,\"accountId\":\"a1\"")]
    [InlineData("\"accountId\":\"a1\",\"customer\":null")]
    [InlineData("\"customer\":null,\"userId\":null,\"accountId\":\"a1\",\"refresh_token\":null")]
    public async Task A_JSON_null_beside_another_name_of_the_field_does_not_count(string more)
    {
        var site = Assert.Single(await ReadAsync($"{{\"instanceId\":\"{One}\",\"refreshToken\":\"r-1\",{more}}}\n"));

        Assert.Equal((null, "r-1", "a1"), (site.Problem, site.RefreshToken?.Reveal(), site.Customer));
    }

    [Fact]
    public async Task Blanks_around_a_field_of_a_CSV_do_not_count()
    {
        var site = Assert.Single(await ReadAsync($"instanceId, refreshToken, customer\n{One}, r-1, a customer \n"));

        Assert.Equal((null, "r-1", "a customer"), (site.Problem, site.RefreshToken?.Reveal(), site.Customer));
    }

    [Theory]
    [InlineData("r 1", "2026-01-02", false)]
    [InlineData("r-ü", "2026-01-02", false)]
    [InlineData("r-1", "2026-06-01T12:06:00Z", false)]
    [InlineData("r-1", "2026-06-01T12:04:00Z", true)]
    public async Task What_the_service_refuses_is_a_bad_line(string token, string consentedAt, bool isGood) =>
        Assert.Equal(isGood, Assert.Single(await ReadAsync($"instanceId,refreshToken,consentedAt\n{One},{token},{consentedAt}\n")).Problem is null);

    [SkippableFact]
    public void A_pipe_is_refused()
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "There is no /proc.");
        using var pipe = new AnonymousPipeServerStream();
        Assert.Throws<BadUseException>(() => ImportFile.Open($"/proc/self/fd/{pipe.SafePipeHandle.DangerousGetHandle()}", s_now));
    }

    [Fact]
    public async Task A_file_without_an_instance_id_or_with_two_is_refused()
    {
        await Assert.ThrowsAsync<BadUseException>(() => ReadAsync("refreshToken\nr-1\n"));
        await Assert.ThrowsAsync<BadUseException>(() => ReadAsync($"instanceId,instance_id\n{One},{One}\n"));
        await Assert.ThrowsAsync<BadUseException>(() => ReadAsync(""));
        Assert.Throws<BadUseException>(() => ImportFile.Open(Path.Combine(_folder.Path, "none.csv"), s_now));
    }

    [Theory]
    [InlineData("\"customer\":\"a\",\"customer\":\"b\"")]
    [InlineData("\"customer\":\"a\",\"Customer\":\"b\"")]
    [InlineData("\"accountId\":1,\"tenant_id\":2")]
    [InlineData("\"refresh_token\":\"r-2\"")]
    [InlineData("\"instance\":\"{2}\"")]
    public async Task A_line_that_names_a_field_twice_is_refused(string more)
    {
        var sites = await ReadAsync($"{{\"instanceId\":\"{One}\",\"refreshToken\":\"r-1\",{more}}}\n{{\"instanceId\":\"{Two}\",\"note\":1,\"note\":2}}\n");

        Assert.Equal([false, true], sites.Select(site => site.Problem is null));
        Assert.StartsWith("two names for the field ", sites[0].Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_hash_is_of_the_whole_file_after_it_was_read_too()
    {
        using var file = await OpenAsync("instanceId,refreshToken\n{1},r-1\n");
        using var other = await OpenAsync("instanceId,refreshToken\n{1},r-2\n");
        var hash = await file.HashAsync(CancellationToken.None);
        await file.FindRepeatedAsync(CancellationToken.None);
        await other.FindRepeatedAsync(CancellationToken.None);

        Assert.Equal(hash, await file.HashAsync(CancellationToken.None));
        Assert.NotEqual(hash, await other.HashAsync(CancellationToken.None));
    }

    [Fact]
    public void A_journal_of_an_address_that_is_not_ASCII_is_read_to_its_end()
    {
        var (file, url) = (Path.Combine(_folder.Path, "sites.csv"), new Uri("https://\u6c49\u5b57\u6c49\u5b57\u6c49.example"));
        foreach (var line in new[] { 1, 13 })
        {
            using var journal = ImportJournal.Open(file, "hash", url);
            journal.Add(line, "imported");
        }

        using var last = ImportJournal.Open(file, "hash", url);
        Assert.Equal([1L, 13], last.Done.Keys.Order());
    }

    [Fact]
    public async Task A_journal_cut_off_by_a_kill_continues_after_its_last_complete_line()
    {
        var file = Path.Combine(_folder.Path, "sites.csv");
        var url = new Uri("http://localhost:7071");
        using (var journal = ImportJournal.Open(file, "hash", url))
        {
            journal.Add(2, "imported");
            journal.Add(3, "kept");
        }

        await File.AppendAllTextAsync(file + ".journal", "4 impo");
        using (var journal = ImportJournal.Open(file, "hash", url))
        {
            Assert.Equal([2L, 3], journal.Done.Keys.Order());
            journal.Add(4, "imported");
        }

        using (var journal = ImportJournal.Open(file, "hash", url))
        {
            Assert.Equal([2L, 3, 4], journal.Done.Keys.Order());
            Assert.Throws<CommandFailedException>(() => ImportJournal.Open(file, "hash", url));
        }

        using var other = ImportJournal.Open(file, "another file", url);
        Assert.Empty(other.Done);
    }

    private async Task<List<ImportSite>> ReadAsync(string text, Encoding? encoding = null)
    {
        using var file = await OpenAsync(text, encoding);
        return await file.ReadAsync(CancellationToken.None).ToListAsync();
    }

    private async Task<ImportFile> OpenAsync(string text, Encoding? encoding = null)
    {
        var path = Path.Combine(_folder.Path, Guid.NewGuid().ToString("N"));
        var content = text.Replace("{1}", One, StringComparison.Ordinal).Replace("{2}", Two, StringComparison.Ordinal);
        await File.WriteAllTextAsync(path, content, encoding ?? new UTF8Encoding(false));
        return ImportFile.Open(path, s_now);
    }
}

using System.Text;
using WixOAuth.Cli;
using WixOAuth.Cli.Import;

namespace WixOAuth.Programs.Tests.Cli;

/// <summary>The files that people have.</summary>
public sealed class ImportFileTests : IDisposable
{
    private const string One = "11111111-2222-4333-8444-555555555555";
    private const string Two = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
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
    [InlineData("2026-01-02T04:04:05+01:00")]
    [InlineData("1767323045")]
    [InlineData("1767323045000")]
    public async Task A_time_may_be_ISO_8601_or_a_Unix_time(string time) => Assert.Equal(
        new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero),
        Assert.Single(await ReadAsync($"instanceId,refreshToken,created_at\n{One},r,{time}\n")).ConsentedAt);

    [Fact]
    public async Task A_file_without_an_instance_id_or_with_two_is_refused()
    {
        await Assert.ThrowsAsync<BadUseException>(() => ReadAsync("refreshToken\nr-1\n"));
        await Assert.ThrowsAsync<BadUseException>(() => ReadAsync($"instanceId,instance_id\n{One},{One}\n"));
        await Assert.ThrowsAsync<BadUseException>(() => ReadAsync(""));
        Assert.Throws<BadUseException>(() => ImportFile.Open(Path.Combine(_folder.Path, "none.csv")));
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

    private async Task<List<ImportSite>> ReadAsync(string text)
    {
        var path = Path.Combine(_folder.Path, Guid.NewGuid().ToString("N"));
        await File.WriteAllTextAsync(path, text.Replace("{1}", One, StringComparison.Ordinal).Replace("{2}", Two, StringComparison.Ordinal), new UTF8Encoding(false));
        using var file = ImportFile.Open(path);
        return await file.ReadAsync(CancellationToken.None).ToListAsync();
    }
}

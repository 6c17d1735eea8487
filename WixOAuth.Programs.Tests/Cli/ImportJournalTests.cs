using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Moq;
using WixOAuth.Cli;

namespace WixOAuth.Programs.Tests.Cli;

/// <summary>The journal of an import, and the table that it is about.</summary>
public sealed class ImportJournalTests : IDisposable
{
    private static readonly Dictionary<string, string?> s_key = new() { ["WIXOAUTH_KEY"] = "a-key" };
    private readonly TemporaryFolder _folder = new();
    private readonly Guid[] _sites = [.. Enumerable.Range(0, 30).Select(_ => Guid.NewGuid())];
    private readonly ConcurrentDictionary<Guid, string> _table = new();
    private readonly ConcurrentQueue<Guid> _sent = new();

    private string FileName => Path.Combine(_folder.Path, "sites.csv");

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(0, 0)]
    [InlineData(29, 29)]
    [InlineData(0, 29)]
    public async Task Sites_that_the_table_lost_are_imported_again(int first, int last)
    {
        await using var service = await StartAsync();
        await ImportFirstAsync(service);
        foreach (var site in _sites[first..(last + 1)])
        {
            _table.Remove(site, out _);
        }

        var run = await RunAsync(service);

        Assert.Equal((0, "30 sites: 30 imported, 0 failed"), (run.ExitCode, run.Out.Trim()));
        Assert.Equal(_sites, _table.Keys.Intersect(_sites).OrderBy(site => Array.IndexOf(_sites, site)));
        Assert.Equal(30, _sent.Count);
        Assert.Contains("Beginning anew", run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("Continuing", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Sites_that_were_removed_since_or_cannot_be_read_now_are_not_lost_ones()
    {
        await using var service = await StartAsync();
        await ImportFirstAsync(service);
        (_table[_sites[0]], _table[_sites[29]]) = ("removed", "unreadable");

        var run = await RunAsync(service);

        Assert.Equal((0, "30 sites: 30 imported, 0 failed"), (run.ExitCode, run.Out.Trim()));
        Assert.Equal(_sites[15], Assert.Single(_sent));
        Assert.Contains("Continuing: 29 sites were already imported", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_journal_that_began_anew_is_continued_in_its_turn()
    {
        await using var service = await StartAsync();
        await ImportFirstAsync(service);
        _table.Clear();
        _table[_sites[15]] = "rejected";
        Assert.Equal(1, (await RunAsync(service)).ExitCode);
        _sent.Clear();
        _table.Remove(_sites[15], out _);

        var run = await RunAsync(service);

        Assert.Equal((0, "30 sites: 30 imported, 0 failed"), (run.ExitCode, run.Out.Trim()));
        Assert.Equal(_sites[15], Assert.Single(_sent));
    }

    [Fact]
    public async Task The_journal_of_a_file_that_was_changed_since_does_not_count()
    {
        await using var service = await StartAsync();
        await ImportFirstAsync(service);
        var (added, lines) = (Guid.NewGuid(), await File.ReadAllLinesAsync(FileName));
        lines[21] = $"{added},r-1";
        await File.WriteAllLinesAsync(FileName, lines.Where((_, i) => i != 25));

        var run = await RunAsync(service);

        Assert.Equal((0, "29 sites: 29 imported, 0 failed"), (run.ExitCode, run.Out.Trim()));
        Assert.Contains(added, _sent);
        Assert.Equal(29, _sent.Count);
    }

    [Fact]
    public async Task While_the_storage_is_down_the_journal_stays_and_nothing_is_sent()
    {
        await using var service = await StartAsync();
        await ImportFirstAsync(service);
        var journal = await File.ReadAllTextAsync(FileName + ".journal");
        SetImported("unreadable");
        var time = new PassingTime(pause => pause < ServiceClient.MaxTries);

        var run = await RunAsync(service, time, "--revive");

        Assert.Equal((1, ""), (run.ExitCode, run.Out));
        Assert.Empty(_sent);
        Assert.Equal(journal, await File.ReadAllTextAsync(FileName + ".journal"));
        Assert.Equal(ServiceClient.MaxTries - 1, time.Pauses);
        Assert.Contains("503 storage_unavailable", run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("Beginning anew", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_storage_that_comes_back_is_waited_for_and_the_import_continues()
    {
        await using var service = await StartAsync();
        await ImportFirstAsync(service);
        SetImported("unreadable");
        var time = new PassingTime(pause =>
        {
            if (pause == 3)
            {
                SetImported("active");
            }

            return pause <= 3;
        });

        var run = await RunAsync(service, time);

        Assert.Equal((0, "30 sites: 30 imported, 0 failed"), (run.ExitCode, run.Out.Trim()));
        Assert.Equal(_sites[15], Assert.Single(_sent));
        Assert.Contains("Continuing: 29 sites were already imported", run.Error, StringComparison.Ordinal);
    }

    // One site fails, so that the journal stays.
    private async Task ImportFirstAsync(WebApplication service)
    {
        _table[_sites[15]] = "rejected";
        var lines = _sites.Select(site => $"{site},r-1").Prepend("instanceId,refreshToken");
        await File.WriteAllLinesAsync(FileName, lines);
        Assert.EndsWith("30 sites: 29 imported, 1 failed", (await RunAsync(service)).Out.Trim(), StringComparison.Ordinal);
        _sent.Clear();
        _table.Remove(_sites[15], out _);
    }

    private void SetImported(string status)
    {
        foreach (var site in _sites.Except([_sites[15]]))
        {
            _table[site] = status;
        }
    }

    private Task<CliRun> RunAsync(WebApplication service, TimeProvider? time = null, params string[] options) =>
        CliRun.RunAsync(time ?? TimeProvider.System, s_key, ["import", FileName, "--url", service.Urls.Single(), "--concurrency", "1", .. options]);

    private async Task<WebApplication> StartAsync()
    {
        var service = StubServer.Create();
        service.MapGet("/api/instances/{id}", (Guid id) => id == Guid.Empty ? StubServer.InvalidId() : _table.GetValueOrDefault(id) switch
        {
            null => Results.Json(new { code = "unknown_instance" }, statusCode: 404),
            "unreadable" => Results.Json(new { code = "storage_unavailable" }, statusCode: 503),
            var status => Results.Json(new { status }),
        });
        service.MapPut("/api/instances/{id}", (Guid id) =>
        {
            _sent.Enqueue(id);
            return _table.GetOrAdd(id, "active") == "rejected" ? Results.Json(new { code = "import_rejected" }, statusCode: 409) : Results.Json(new { outcome = "imported" });
        });
        await service.StartAsync();
        return service;
    }

    /// <summary>A pause ends at once where <paramref name="ends"/> says so of its number, and any other never.</summary>
    private sealed class PassingTime(Predicate<int> ends) : TimeProvider
    {
        private int _pauses;

        public int Pauses => Volatile.Read(ref _pauses);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            if (ends(Interlocked.Increment(ref _pauses)))
            {
                callback(state);
            }

            return Mock.Of<ITimer>();
        }
    }
}

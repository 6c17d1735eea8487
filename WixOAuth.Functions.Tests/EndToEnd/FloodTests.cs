using System.Diagnostics;
using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Maintenance;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>
/// Three clients that open the App URL and bring a made-up code back, as fast as they are answered. <c>FLOOD_SECONDS</c>
/// makes it longer than the few seconds that a test run can spare: 60 is the attack as it was first made.
/// </summary>
[Collection(AzuriteFixture.Name)]
public sealed class FloodTests(AzuriteFixture azurite)
{
    private static readonly TimeSpan s_length =
        TimeSpan.FromSeconds(int.TryParse(Environment.GetEnvironmentVariable("FLOOD_SECONDS"), out var seconds) ? seconds : 5);

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task A_flood_of_invented_codes_costs_bounded_calls_rows_and_log_lines_and_installs_continue()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        LogLevel[] levels = [LogLevel.Information, LogLevel.Warning, LogLevel.Error];
        await bed.InstallAsync("Before the flood");
        var tombstones = await AddOldTombstonesAsync(bed);
        var beforehand = levels.ToDictionary(level => level, level => bed.Logs.Lines(level).Count());
        var (attempts, clock) = (0, Stopwatch.StartNew());
        var attackers = Enumerable.Range(0, 3).Select(_ => Task.Run(AttackAsync)).ToList();
        var housekeeping = Task.Run(() => bed.Host.Services.GetRequiredService<Housekeeping>().RunAsync(CancellationToken.None));
        List<TimeSpan> installs = [];
        while (IsOn())
        {
            var before = clock.Elapsed;
            await bed.InstallAsync($"Genuine {installs.Count}");
            installs.Add(clock.Elapsed - before);
        }

        await Task.WhenAll(attackers);
        var took = clock.Elapsed;

        // Housekeeping has done everything it had to do beside it.
        await housekeeping;
        var store = bed.Host.Services.GetRequiredService<IInstanceStore>();
        foreach (var id in tombstones)
        {
            Assert.Null(await store.FindAsync(id, CancellationToken.None));
        }

        // Each exchange that was let through costs one call and one row; the flood cannot have more than its share.
        var exchanges = bed.Wix.Control.Counts.Calls["access"];
        Assert.InRange(attempts, 10, int.MaxValue);
        Assert.InRange(exchanges, 1, (int)(ExchangeLimiter.MaxPerSecond * took.TotalSeconds) + (2 * ExchangeLimiter.MaxConcurrent));
        Assert.Equal(exchanges, (await bed.RowsAsync()).Count(row => row.RowKey.StartsWith("n|", StringComparison.Ordinal)));
        Assert.InRange(installs.Count(install => install <= s_patience), Math.Ceiling(installs.Count * 0.9), installs.Count);

        // Beside the lines of genuine installs and of housekeeping, the flood has ten a minute at most.
        var genuine = bed.Wix.Sites.Select(site => site.InstanceId.ToString()).ToList();
        var lines = levels.SelectMany(level => bed.Logs.Lines(level).Skip(beforehand[level]))
            .Where(line => !line.StartsWith("Housekeeping:", StringComparison.Ordinal) && !genuine.Exists(id => line.Contains(id, StringComparison.Ordinal)))
            .ToList();
        Assert.InRange(lines.Count(line => line.Contains("A redirect ended without a connected site", StringComparison.Ordinal)), 1, 1 + (int)took.TotalMinutes);
        Assert.InRange(lines.Count, 1, 10 * (1 + (int)took.TotalMinutes));

        // An hour later all of it is gone.
        bed.Clock.Advance(ConsumedStateCleanup.KeptFor + TimeSpan.FromMinutes(1));
        await bed.Host.Services.GetRequiredService<ConsumedStateCleanup>().RunHourlyAsync(CancellationToken.None);
        Assert.DoesNotContain(await bed.RowsAsync(), row => row.RowKey.StartsWith("n|", StringComparison.Ordinal));

        // Longer on a machine that is too busy for a flood.
        bool IsOn() => clock.Elapsed < s_length || Volatile.Read(ref attempts) < 10;

        async Task<IReadOnlyList<InstanceId>> AddOldTombstonesAsync(TestBed to)
        {
            List<InstanceId> ids = [];
            for (var i = 0; i < 40; i++)
            {
                var tombstone = Storage.Samples.NewInstance() with { Status = InstanceStatus.Removed, RemovedAt = to.Clock.GetUtcNow().AddDays(-91) };
                await to.Host.Services.GetRequiredService<IInstanceStore>().TryWriteAsync(null, tombstone, CancellationToken.None);
                ids.Add(tombstone.Id);
            }

            return ids;
        }

        async Task AttackAsync()
        {
            while (IsOn())
            {
                using var browser = new TestBrowser();
                var state = TestBed.QueryOf(TestBrowser.LocationOf(await browser.GetAsync(new Uri(bed.Api, "install"))))["state"];
                using var refused = await browser.GetAsync(new Uri(bed.Api, $"redirect?code=x&state={state}&instanceId={Guid.NewGuid()}"));
                Assert.Equal(HttpStatusCode.SeeOther, refused.StatusCode);
                Interlocked.Increment(ref attempts);
            }
        }
    }
}

using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Settings;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Sweep;

/// <summary>The sweep of one shard, and what names a shard.</summary>
public sealed class ShardTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private readonly Core _core = new(settings: [("Tokens__RefreshConcurrency", "3"), ("Tokens__IdleAfter", "00:00:00")]);

    public void Dispose() => _core.Dispose();

    [Theory]
    [InlineData("0", 0)]
    [InlineData("7", 7)]
    [InlineData("15", 15)]
    public void The_number_of_a_shard_is_read(string text, int number)
    {
        Assert.True(InstanceShard.TryParse(text, out var shard));
        Assert.Equal(number, shard.Number);
        Assert.Equal(text, shard.ToString());
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("16")]
    [InlineData("-1")]
    [InlineData("+1")]
    [InlineData(" 1")]
    [InlineData("1.0")]
    [InlineData("shard")]
    [InlineData("99999999999")]
    public void A_text_that_is_not_the_number_of_a_shard_is_refused(string? text) => Assert.False(InstanceShard.TryParse(text, out _));

    /// <summary>Stored rows depend on it.</summary>
    [Fact]
    public void A_shard_is_a_partition_of_the_table()
    {
        var id = new InstanceId(Guid.Parse("00000000-0000-0000-0000-000000000001"));

        Assert.Equal(16, InstanceShard.All.Count);
        Assert.Equal("12", InstanceRows.ShardOf(id));
        Assert.Equal(12, InstanceShard.Of(id).Number);
    }

    [Fact]
    public async Task A_sweep_of_one_shard_leaves_the_others_due()
    {
        await InstallAsync(60);
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("next"));
        var shard = new InstanceShard(5);
        var mine = await _core.Store.ReadDueAsync(_core.Clock.GetUtcNow(), None, shard).CountAsync();

        var summary = await _core.RunAsync(() => _core.Sweep.RunAsync(None, shard));

        Assert.InRange(mine, 1, 59);
        Assert.Equal(mine, summary.Refreshed);
        Assert.Equal(60 - mine, await _core.Store.ReadDueAsync(_core.Clock.GetUtcNow(), None).CountAsync());
    }

    [Fact]
    public async Task The_shards_that_a_process_sweeps_share_its_concurrency()
    {
        await InstallAsync(40);
        var (now, most) = (0, 0);
        _core.Wix.Answer = async (_, _, _) =>
        {
            most = Math.Max(most, ++now);
            await Task.Yield();
            await Task.Yield();
            now--;
            return StubWix.Tokens("next");
        };

        var sweeps = await _core.RunAsync(() => Task.WhenAll(InstanceShard.All.Select(shard => _core.Sweep.RunAsync(None, shard))));

        Assert.Equal(40, sweeps.Sum(sweep => sweep.Refreshed));
        Assert.Equal(3, most);
    }

    [Theory]
    [InlineData("", "", "", "Sweep__queueServiceUri or Sweep")]
    [InlineData("UseDevelopmentStorage=true", "https://name.queue.core.windows.net", "", "Sweep__queueServiceUri or Sweep")]
    [InlineData("not a connection string", "", "", "Sweep should be")]
    [InlineData("UseDevelopmentStorage=true", "", "true", "AzureWebJobs.RefreshShard.Disabled")]
    public void A_sweep_by_queue_needs_one_queue_and_a_function_that_runs(string connection, string url, string disabled, string problem)
    {
        var settings = ServiceSettings.Read(Core.Configure(
            ("Tokens__SweepBy", "Queue"), ("Sweep", connection), ("Sweep__queueServiceUri", url), ("AzureWebJobs.RefreshShard.Disabled", disabled)));

        Assert.StartsWith(problem, Assert.Single(settings.Problems, each => each.StartsWith(problem, StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Timer", "true")]
    [InlineData("", "")]
    public void A_sweep_by_timer_needs_no_queue(string sweepBy, string disabled)
    {
        var settings = ServiceSettings.Read(Core.Configure(("Tokens__SweepBy", sweepBy), ("AzureWebJobs.RefreshShard.Disabled", disabled)));

        Assert.Empty(settings.Problems);
        Assert.Equal(SweepBy.Timer, settings.Tokens.SweepBy);
    }

    private async Task InstallAsync(int count)
    {
        for (var number = 0; number < count; number++)
        {
            await _core.InstallAsync(Core.NewId());
        }

        _core.Clock.Advance(TimeSpan.FromMinutes(4));
    }
}

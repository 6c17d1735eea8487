using Moq;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Maintenance;

namespace WixOAuth.Functions.Tests.Maintenance;

/// <summary>Each sweep saves the state of the service, however long counting all sites takes.</summary>
public sealed class SweepStateRecorderTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private readonly Mock<IInstanceStore> _store = new();
    private readonly TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Core _core;
    private int _counts;
    private bool _fails;

    public SweepStateRecorderTests()
    {
        _store.Setup(store => store.ReadDueAsync(It.IsAny<DateTimeOffset>(), It.IsAny<CancellationToken>(), It.IsAny<InstanceShard?>())).Returns(AsyncEnumerable.Empty<DueInstance>());
        _store.Setup(store => store.ReadSummariesAsync(It.IsAny<CancellationToken>())).Returns<CancellationToken>(_ => ReadAsync());
        _core = new Core(_store.Object);
    }

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task The_state_is_saved_while_the_sites_are_counted_and_a_later_sweep_saves_the_counts()
    {
        await _core.SweepStates.SaveSweepStateAsync(new SweepState(_core.Clock.GetUtcNow().AddMinutes(-1), 7, 3, false, false), None);

        for (var minute = 0; minute < 3; minute++)
        {
            _core.Clock.Advance(TimeSpan.FromMinutes(1));
            var startedAt = _core.Clock.GetUtcNow();
            await SweepAsync();

            Assert.InRange(_core.Clock.GetUtcNow() - startedAt, TimeSpan.Zero, TimeSpan.FromSeconds(5));
            var waiting = await StateAsync();
            Assert.True(waiting.SweptAt >= startedAt);
            Assert.Equal((7, 3), (waiting.OnFallback, waiting.Unreadable));
        }

        _gate.SetResult();
        await SweepAsync();

        Assert.Equal((2, 1), ((await StateAsync()).OnFallback, (await StateAsync()).Unreadable));
        Assert.Equal(1, _counts);
    }

    [Fact]
    public async Task Sites_are_counted_again_after_ten_minutes_or_news_of_a_refresh_token()
    {
        _gate.SetResult();
        await SweepAsync();
        _core.Clock.Advance(SweepStateRecorder.BetweenCounts - TimeSpan.FromSeconds(1));
        await SweepAsync();
        Assert.Equal(1, _counts);

        _core.Clock.Advance(TimeSpan.FromSeconds(1));
        await SweepAsync();
        Assert.Equal(2, _counts);

        _core.History.Add(succeeded: true, hasFaultChanged: true);
        await SweepAsync();
        Assert.Equal(3, _counts);
    }

    [Fact]
    public async Task News_of_a_refresh_token_during_a_count_causes_another_one()
    {
        await SweepAsync();
        _core.History.Add(succeeded: true, hasFaultChanged: true);
        await SweepAsync();
        _gate.SetResult();
        await SweepAsync();
        await SweepAsync();

        Assert.Equal(2, _counts);
    }

    [Fact]
    public async Task A_failed_count_is_logged_and_repeated_and_the_state_is_saved_with_the_last_counts()
    {
        _gate.SetResult();
        await SweepAsync();
        _fails = true;
        _core.Clock.Advance(SweepStateRecorder.BetweenCounts);
        var startedAt = _core.Clock.GetUtcNow();
        await SweepAsync();

        Assert.Equal("The instances could not be counted: StorageUnavailableException", Assert.Single(_core.Logs.Of(431)));
        Assert.True((await StateAsync()).SweptAt >= startedAt);
        Assert.Equal(2, (await StateAsync()).OnFallback);

        await SweepAsync();
        Assert.Equal(3, _counts);
    }

    private Task<SweepSummary> SweepAsync() => _core.RunAsync(() => _core.Sweep.RunAsync(None));

    private async Task<SweepState> StateAsync() => (await _core.SweepStates.ReadSweepStateAsync(None))!;

    private async IAsyncEnumerable<InstanceSummary> ReadAsync()
    {
        _counts++;
        await _gate.Task;
        if (_fails)
        {
            throw new StorageUnavailableException("The storage is down.");
        }

        foreach (var fault in new[] { RefreshTokenFaultKind.Rejected, RefreshTokenFaultKind.Unreadable })
        {
            yield return new InstanceSummary(Core.NewId(), InstanceStatus.Active, null, null, false, null, null)
            {
                CurrentGrant = Grant.ClientCredentials,
                RefreshTokenFault = fault,
            };
        }
    }
}

using WixOAuth.Functions.Tests.Support;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Tokens;

public sealed class RefreshHistoryTests : IDisposable
{
    private readonly Core _core = new();

    public void Dispose() => _core.Dispose();

    [Fact]
    public void The_last_hour_is_told_in_stretches_of_five_minutes_the_oldest_first()
    {
        // At the beginning of a stretch.
        _core.Clock.SetUtcNow(new DateTimeOffset(2030, 1, 1, 12, 0, 0, TimeSpan.Zero));
        for (var stretch = 0; stretch < RefreshHistory.Stretches; stretch++)
        {
            Add(succeeded: stretch, failed: 2 * stretch);
            _core.Clock.Advance(RefreshHistory.Stretch - TimeSpan.FromTicks(1));
            Add(succeeded: 1, failed: 1);
            _core.Clock.Advance(TimeSpan.FromTicks(stretch < RefreshHistory.Stretches - 1 ? 1 : 0));
        }

        var history = _core.History.Read();

        Assert.Equal(
            Enumerable.Range(0, RefreshHistory.Stretches).Select(stretch => new RefreshCount(
                new DateTimeOffset(2030, 1, 1, 12, 0, 0, TimeSpan.Zero) + (stretch * RefreshHistory.Stretch), stretch + 1, (2 * stretch) + 1)),
            history);
    }

    [Fact]
    public void What_is_older_than_an_hour_is_forgotten()
    {
        Add(succeeded: 3, failed: 4);
        _core.Clock.Advance(TimeSpan.FromHours(1));

        Assert.All(_core.History.Read(), count => Assert.Equal((0, 0), (count.Succeeded, count.Failed)));
        Add(succeeded: 1, failed: 0);
        Assert.Equal((1, 0), (_core.History.Read()[^1].Succeeded, _core.History.Read()[^1].Failed));
        Assert.Equal(1, _core.History.Read().Sum(count => count.Succeeded + count.Failed));
    }

    private void Add(int succeeded, int failed)
    {
        for (var number = 0; number < succeeded; number++)
        {
            _core.History.Add(succeeded: true);
        }

        for (var number = 0; number < failed; number++)
        {
            _core.History.Add(succeeded: false);
        }
    }
}

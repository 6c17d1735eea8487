using System.Collections.Concurrent;
using Microsoft.Extensions.Time.Testing;

namespace WixOAuth.Client.Tests.Support;

/// <summary>Time that a test moves; shows when code waits for it, so that the test does not move it too early.</summary>
internal sealed class WatchedTime : FakeTimeProvider
{
    private readonly ConcurrentQueue<TimeSpan> _waits = new();

    /// <summary>How often something has begun to wait for so long.</summary>
    public int Waits(TimeSpan length) => _waits.Count(each => each == length);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = base.CreateTimer(callback, state, dueTime, period);
        _waits.Enqueue(dueTime);
        return timer;
    }
}

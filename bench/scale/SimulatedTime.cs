namespace WixOAuth.Scale;

/// <summary>
/// Time that jumps to the next scheduled event when nothing can run before it. Needs a thread pool of
/// one thread, which this runs on too: when that has nothing waiting, everything is at rest.
/// </summary>
internal sealed class SimulatedTime(DateTimeOffset start) : TimeProvider
{
    private readonly PriorityQueue<(Action<object?> Act, object? State, int Turn), (long At, long Number)> _agenda = new();
    private long _now = start.UtcTicks;
    private long _number;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override DateTimeOffset GetUtcNow() => new(_now, TimeSpan.Zero);

    public override long GetTimestamp() => _now;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>Does something at a time; in the order it was asked for where the times are the same.</summary>
    public void At(DateTimeOffset time, Action<object?> act, object? state) => Enqueue(time.UtcTicks, act, state, 0);

    /// <summary>Ends when that time has passed: what a call elsewhere takes.</summary>
    public Task PassAsync(TimeSpan time)
    {
        if (time == TimeSpan.Zero)
        {
            return Task.CompletedTask;
        }

        var passed = new TaskCompletionSource();
        Enqueue(_now + time.Ticks, static state => ((TaskCompletionSource)state!).SetResult(), passed, 0);
        return passed.Task;
    }

    /// <summary>Ends when nothing can go on without time passing.</summary>
    public static async Task RestAsync()
    {
        do
        {
            await Task.Yield();
        }
        while (ThreadPool.PendingWorkItemCount > 0);
    }

    /// <summary>Lets time pass until then.</summary>
    public async Task RunUntilAsync(DateTimeOffset end)
    {
        await RestAsync();
        while (_agenda.TryPeek(out var next, out var when) && when.At < end.UtcTicks)
        {
            _agenda.Dequeue();
            if (next.State is Timer timer && timer.Turn != next.Turn)
            {
                continue;
            }

            _now = Math.Max(_now, when.At);
            next.Act(next.State);
            if (ThreadPool.PendingWorkItemCount > 0)
            {
                await RestAsync();
            }
        }

        _now = end.UtcTicks;
    }

    private void Enqueue(long at, Action<object?> act, object? state, int turn) => _agenda.Enqueue((act, state, turn), (at, _number++));

    private sealed class Timer(SimulatedTime time, TimerCallback callback, object? state) : ITimer
    {
        private TimeSpan _period;

        /// <summary>What is on the agenda for an earlier turn is void.</summary>
        public int Turn { get; private set; }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            _period = period;
            Turn++;
            if (dueTime >= TimeSpan.Zero)
            {
                time.Enqueue(time._now + dueTime.Ticks, static timer => ((Timer)timer!).Fire(), this, Turn);
            }

            return true;
        }

        public void Dispose() => Turn = -1;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }

        private void Fire()
        {
            if (_period > TimeSpan.Zero)
            {
                Change(_period, _period);
            }

            callback(state);
        }
    }
}

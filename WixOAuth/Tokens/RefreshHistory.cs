namespace WixOAuth.Tokens;

/// <summary>Refreshes of one stretch of time.</summary>
/// <param name="From">When it began.</param>
/// <param name="Succeeded">How many brought a token.</param>
/// <param name="Failed">How many did not.</param>
public sealed record RefreshCount(DateTimeOffset From, int Succeeded, int Failed);

/// <summary>
/// How refreshes went in this process over the last hour, for the operators' page. What has to be exact or outlive the
/// process is in the metrics.
/// </summary>
public sealed class RefreshHistory(TimeProvider time)
{
    /// <summary>How many stretches are told apart.</summary>
    public const int Stretches = 12;

    /// <summary>How long each is.</summary>
    public static readonly TimeSpan Stretch = TimeSpan.FromMinutes(5);

    private readonly Lock _lock = new();
    private readonly (long Number, int Succeeded, int Failed)[] _counts = new (long, int, int)[Stretches];

    /// <summary>Counts a refresh.</summary>
    public void Add(bool succeeded)
    {
        var number = Number(time.GetUtcNow());
        lock (_lock)
        {
            ref var count = ref _counts[(int)(number % Stretches)];
            if (count.Number != number)
            {
                count = (number, 0, 0);
            }

            count = succeeded ? count with { Succeeded = count.Succeeded + 1 } : count with { Failed = count.Failed + 1 };
        }
    }

    /// <summary>The last hour, the oldest stretch first.</summary>
    public IReadOnlyList<RefreshCount> Read()
    {
        var now = Number(time.GetUtcNow());
        lock (_lock)
        {
            return
            [
                .. Enumerable.Range(0, Stretches).Select(i =>
                {
                    var number = now - Stretches + 1 + i;
                    var count = _counts[(int)(number % Stretches)];
                    var from = new DateTimeOffset(number * Stretch.Ticks, TimeSpan.Zero);
                    return count.Number == number ? new RefreshCount(from, count.Succeeded, count.Failed) : new RefreshCount(from, 0, 0);
                }),
            ];
        }
    }

    private static long Number(DateTimeOffset at) => at.UtcTicks / Stretch.Ticks;
}

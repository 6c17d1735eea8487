using System.Diagnostics;

namespace WixOAuth.Load;

/// <summary>What a load gave.</summary>
/// <param name="PerSecond">Requests per second.</param>
/// <param name="Times">How long each took, in ticks of the stopwatch.</param>
internal sealed record LoadResult(double PerSecond, IReadOnlyList<long> Times)
{
    /// <summary>The time that 99 of 100 answers of several loads stayed below.</summary>
    public static TimeSpan P99(IEnumerable<LoadResult> loads)
    {
        var times = loads.SelectMany(load => load.Times).Order().ToList();
        return Stopwatch.GetElapsedTime(0, times[(int)(times.Count * 0.99)]);
    }
}

/// <summary>A number of callers, each of which asks again as soon as it was answered.</summary>
internal static class ClosedLoop
{
    public static async Task<LoadResult> RunAsync(
        Uri service, byte[] request, int callers, TimeSpan duration, CancellationToken cancellationToken, int status = StatusCodes.Status200OK)
    {
        var connections = new List<Caller>();
        try
        {
            for (var i = 0; i < callers; i++)
            {
                connections.Add(await Caller.ConnectAsync(service, cancellationToken));
            }

            var startedAt = Stopwatch.GetTimestamp();
            var end = startedAt + (long)(duration.TotalSeconds * Stopwatch.Frequency);
            var times = (await Task.WhenAll(connections.Select(connection => Task.Run(() => RepeatAsync(connection, request, end, status, cancellationToken), cancellationToken))))
                .SelectMany(each => each).ToList();
            return new LoadResult(times.Count / Stopwatch.GetElapsedTime(startedAt).TotalSeconds, times);
        }
        finally
        {
            connections.ForEach(connection => connection.Dispose());
        }
    }

    private static async Task<List<long>> RepeatAsync(Caller caller, byte[] request, long end, int expected, CancellationToken cancellationToken)
    {
        var times = new List<long>(10_000);
        for (var before = Stopwatch.GetTimestamp(); before < end;)
        {
            var status = await caller.AskAsync(request, cancellationToken);
            if (status != expected)
            {
                throw new InvalidOperationException($"Answered {status} under load.");
            }

            var after = Stopwatch.GetTimestamp();
            times.Add(after - before);
            before = after;
        }

        return times;
    }
}

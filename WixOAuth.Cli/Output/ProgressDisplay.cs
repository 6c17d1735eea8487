using System.Globalization;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace WixOAuth.Cli.Output;

/// <summary>How far a command is. Safe for concurrent use.</summary>
internal sealed class ProgressMeter(double total) : IProgress<long>
{
    private long _count;
    private long _failed;
    private double _value;

    /// <summary>What <see cref="Value"/> is when all is done; zero where that is not known.</summary>
    public double Total => total;

    /// <summary>How many sites are done.</summary>
    public long Count => Interlocked.Read(ref _count);

    /// <summary>How many of them failed.</summary>
    public long Failed => Interlocked.Read(ref _failed);

    /// <summary>How much is done, in the unit of <see cref="Total"/>.</summary>
    public double Value => Volatile.Read(ref _value);

    /// <summary>Counts that are their own measure.</summary>
    public void Report(long value)
    {
        Interlocked.Exchange(ref _count, Math.Max(value, Interlocked.Read(ref _count)));
        Volatile.Write(ref _value, value);
    }

    /// <summary>One site more.</summary>
    public void Done(bool failed, double value)
    {
        Interlocked.Increment(ref _count);
        if (failed)
        {
            Interlocked.Increment(ref _failed);
        }

        Volatile.Write(ref _value, value);
    }
}

/// <summary>Shows a meter: a bar with rate and time left on a terminal, a plain line every ten seconds elsewhere.</summary>
internal static class ProgressDisplay
{
    private static readonly TimeSpan s_lineEvery = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_drawEvery = TimeSpan.FromMilliseconds(200);

    public static Task<T> RunAsync<T>(CliEnvironment environment, string title, double total, Func<ProgressMeter, Task<T>> work)
    {
        var meter = new ProgressMeter(total);
        return environment.Terminal.Profile.Capabilities.Interactive && environment.Terminal.Profile.Out.IsTerminal
            ? DrawAsync(environment, title, meter, work)
            : PrintAsync(environment, title, meter, work);
    }

    private static Task<T> DrawAsync<T>(CliEnvironment environment, string title, ProgressMeter meter, Func<ProgressMeter, Task<T>> work) => environment.Terminal
        .Progress()
        .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RateColumn(meter, environment.Time), new RemainingTimeColumn())
        .StartAsync(async context =>
        {
            var bar = context.AddTask(Markup.Escape(title), maxValue: Math.Max(meter.Total, 1));
            bar.IsIndeterminate = meter.Total == 0;
            var running = work(meter);
            while (!running.IsCompleted)
            {
                bar.Value = meter.Value;
                await Task.WhenAny(running, Task.Delay(s_drawEvery, environment.Time, CancellationToken.None));
            }

            var result = await running;
            bar.Value = bar.MaxValue;
            return result;
        });

    private static async Task<T> PrintAsync<T>(CliEnvironment environment, string title, ProgressMeter meter, Func<ProgressMeter, Task<T>> work)
    {
        var startedAt = environment.Time.GetTimestamp();
        environment.Say($"{title} ...");
        var running = work(meter);
        while (await Task.WhenAny(running, Task.Delay(s_lineEvery, environment.Time, CancellationToken.None)) != running)
        {
            environment.Say($"{title}: {Describe(meter, environment.Time.GetElapsedTime(startedAt))}");
        }

        return await running;
    }

    private static string Describe(ProgressMeter meter, TimeSpan elapsed)
    {
        var percent = meter.Total > 0 ? $", {meter.Value / meter.Total:P0}" : "";
        return string.Create(CultureInfo.InvariantCulture, $"{meter.Count:N0} sites{percent}, {meter.Count / elapsed.TotalSeconds:N0}/s")
            + (meter.Failed > 0 ? string.Create(CultureInfo.InvariantCulture, $", {meter.Failed:N0} failed") : "");
    }

    private sealed class RateColumn(ProgressMeter meter, TimeProvider time) : ProgressColumn
    {
        private readonly long _startedAt = time.GetTimestamp();

        public override IRenderable Render(RenderOptions options, ProgressTask task, TimeSpan deltaTime)
        {
            var failed = meter.Failed > 0 ? string.Create(CultureInfo.InvariantCulture, $" [red]{meter.Failed:N0} failed[/]") : "";
            return new Markup(string.Create(
                CultureInfo.InvariantCulture, $"{meter.Count:N0} sites, {meter.Count / time.GetElapsedTime(_startedAt).TotalSeconds:N0}/s{failed}"));
        }
    }
}

using System.Threading.Channels;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.Options;
using NCrontab;
using WixOAuth.Functions;

namespace WixOAuth.Local;

/// <summary>
/// Runs timer functions by their schedules and when asked to. A function never overlaps itself: a run that is asked
/// for while another is under way follows it, and a scheduled one that would fall into it is left out.
/// </summary>
internal sealed partial class TimerService : BackgroundService
{
    // A computer that slept, or whose clock was set, is noticed within this time.
    private static readonly TimeSpan s_longestWait = TimeSpan.FromMinutes(1);

    private readonly Dictionary<string, Timer> _timers;
    private readonly bool _disabled;
    private readonly IServiceProvider _services;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;

    /// <exception cref="OptionsValidationException">A schedule is invalid.</exception>
    public TimerService(FunctionMap map, IConfiguration configuration, IServiceProvider services, TimeProvider time, ILogger<TimerService> logger)
    {
        (_services, _time, _logger) = (services, time, logger);
        var problems = new List<string>();
        _timers = map.Timers.ToDictionary(
            function => function.Name, function => new Timer(function, ReadSchedule(function, configuration, problems)), StringComparer.OrdinalIgnoreCase);
        _disabled = ReadDisabled(configuration, problems);
        if (problems.Count > 0)
        {
            throw new OptionsValidationException("Timers", typeof(TimerService), problems);
        }
    }

    /// <summary>Has a timer function run now; does not wait for it.</summary>
    /// <returns>False when there is none of this name.</returns>
    public bool TryFire(string? name) => name is not null && _timers.TryGetValue(name, out var timer) && timer.Asked.Writer.TryWrite(true);

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Task.WhenAll(_timers.Values.Select(timer => FollowAsync(timer, stoppingToken)));

    private async Task FollowAsync(Timer timer, CancellationToken stoppingToken)
    {
        var asked = timer.Asked.Reader.ReadAsync(stoppingToken).AsTask();
        while (true)
        {
            var due = _disabled ? DateTimeOffset.MaxValue : new DateTimeOffset(timer.Schedule.GetNextOccurrence(_time.GetUtcNow().UtcDateTime), TimeSpan.Zero);
            var now = _time.GetUtcNow();
            for (; now < due && !asked.IsCompleted; now = _time.GetUtcNow())
            {
                var left = due - now + TimeSpan.FromMilliseconds(1);
                await Task.WhenAny(asked, Task.Delay(_disabled ? Timeout.InfiniteTimeSpan : left < s_longestWait ? left : s_longestWait, _time, stoppingToken));
            }

            if (stoppingToken.IsCancellationRequested)
            {
                return;
            }

            var isAsked = asked.IsCompleted;
            if (isAsked)
            {
                asked = timer.Asked.Reader.ReadAsync(stoppingToken).AsTask();
            }

            await RunAsync(timer.Function, isPastDue: !isAsked && now - due > s_longestWait, stoppingToken);
        }
    }

    private async Task RunAsync(Function<TimerTriggerAttribute> function, bool isPastDue, CancellationToken stoppingToken)
    {
        try
        {
            await function.InvokeAsync(_services, new TimerInfo { IsPastDue = isPastDue }, stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The host stops.
        }
        catch (Exception exception)
        {
            LogThrown(exception, function.Name);
        }
    }

    private static CrontabSchedule ReadSchedule(Function<TimerTriggerAttribute> function, IConfiguration configuration, List<string> problems)
    {
        var text = function.Trigger.Schedule;
        var name = $"The schedule of {function.Name}";
        if (text.Length > 2 && text[0] == '%' && text[^1] == '%')
        {
            name = text[1..^1];
            text = configuration[name.Replace("__", ":", StringComparison.Ordinal)] ?? "";
        }

        if (!Schedules.TryParse(text, out var schedule))
        {
            problems.Add(Schedules.Describe(name));
        }

        return schedule!;
    }

    private static bool ReadDisabled(IConfiguration configuration, List<string> problems)
    {
        var text = configuration["Functions:DisableTimers"];
        var disabled = false;
        if (!string.IsNullOrWhiteSpace(text) && !bool.TryParse(text, out disabled))
        {
            problems.Add("Functions__DisableTimers should be true or false.");
        }

        return disabled;
    }

    [LoggerMessage(EventId = 2, Level = LogLevel.Error, Message = "The timer function {Function} threw; it runs again when it is due.")]
    private partial void LogThrown(Exception exception, string function);

    private sealed record Timer(Function<TimerTriggerAttribute> Function, CrontabSchedule Schedule)
    {
        public Channel<bool> Asked { get; } = Channel.CreateUnbounded<bool>();
    }
}

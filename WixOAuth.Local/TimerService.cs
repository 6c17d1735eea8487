using System.Reflection;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.Options;
using NCrontab;
using WixOAuth.Functions;

namespace WixOAuth.Local;

/// <summary>
/// Runs timer functions by their schedules and when asked to. A function never overlaps itself: a run that is asked
/// for while another is under way follows it, and a scheduled one that would fall into it is left out.
/// </summary>
internal sealed partial class TimerService : IHostedService, IDisposable
{
    // A computer that slept, or whose clock was set, is noticed within this time.
    private static readonly TimeSpan s_longestWait = TimeSpan.FromMinutes(1);

    private readonly Dictionary<string, Timer> _timers;
    private readonly bool _disabled;
    private readonly IServiceScopeFactory _scopes;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock _gate = new();
    private Task _underWay = Task.CompletedTask;

    /// <summary>Reads the schedules.</summary>
    /// <exception cref="OptionsValidationException">A schedule is invalid.</exception>
    public TimerService(FunctionMap map, IConfiguration configuration, IServiceScopeFactory scopes, TimeProvider time, ILogger<TimerService> logger)
    {
        (_scopes, _time, _logger) = (scopes, time, logger);
        var problems = new List<string>();
        _timers = map.Timers.ToDictionary(
            function => function.Name, function => new Timer(function, ReadSchedule(function, configuration, problems)), StringComparer.OrdinalIgnoreCase);
        _disabled = ReadDisabled(configuration, problems);
        if (problems.Count > 0)
        {
            throw new OptionsValidationException("Timers", typeof(TimerService), problems);
        }
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (!_disabled)
        {
            Track(() => Task.WhenAll(_timers.Values.Select(FollowAsync)));
        }

        return Task.CompletedTask;
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        Task underWay;
        lock (_gate)
        {
            _stopping.Cancel();
            underWay = _underWay;
        }

        try
        {
            await underWay.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // It had its time to end.
        }
    }

    /// <summary>Has a timer function run now; does not wait for it.</summary>
    /// <returns>False when there is none of this name.</returns>
    public bool TryFire(string? name)
    {
        if (name is null || !_timers.TryGetValue(name, out var timer))
        {
            return false;
        }

        Track(() => Task.Run(() => RunAsync(timer, isPastDue: false), CancellationToken.None));
        return true;
    }

    public void Dispose()
    {
        _stopping.Dispose();
        foreach (var timer in _timers.Values)
        {
            timer.Turn.Dispose();
        }
    }

    private void Track(Func<Task> start)
    {
        lock (_gate)
        {
            if (!_stopping.IsCancellationRequested)
            {
                _underWay = Task.WhenAll(_underWay, start());
            }
        }
    }

    private async Task FollowAsync(Timer timer)
    {
        try
        {
            if (timer.Function.Trigger.RunOnStartup)
            {
                await Task.Run(() => RunAsync(timer, isPastDue: false), _stopping.Token);
            }

            while (true)
            {
                var due = new DateTimeOffset(timer.Schedule.GetNextOccurrence(_time.GetUtcNow().UtcDateTime), TimeSpan.Zero);
                for (var left = due - _time.GetUtcNow(); left > TimeSpan.Zero; left = due - _time.GetUtcNow())
                {
                    await Task.Delay(left < s_longestWait ? left + TimeSpan.FromMilliseconds(1) : s_longestWait, _time, _stopping.Token);
                }

                await RunAsync(timer, isPastDue: _time.GetUtcNow() - due > s_longestWait);
            }
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            // The host stops.
        }
    }

    private async Task RunAsync(Timer timer, bool isPastDue)
    {
        var function = timer.Function;
        try
        {
            await timer.Turn.WaitAsync(_stopping.Token);
            try
            {
                await using var scope = _scopes.CreateAsyncScope();
                await InvokeAsync(function, scope.ServiceProvider, new TimerInfo { IsPastDue = isPastDue }, _stopping.Token);
            }
            finally
            {
                timer.Turn.Release();
            }
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            // The host stops.
        }
        catch (Exception exception)
        {
            LogThrown(exception, function.Name);
        }
    }

    private static async Task InvokeAsync(TimerFunction function, IServiceProvider services, TimerInfo info, CancellationToken cancellationToken)
    {
        var method = function.Method;
        var instance = method.IsStatic ? null : ActivatorUtilities.CreateInstance(services, method.ReflectedType!);
        var arguments = method.GetParameters().Select(parameter =>
            parameter.ParameterType == typeof(TimerInfo) ? info
            : parameter.ParameterType == typeof(CancellationToken) ? (object)cancellationToken
            : services.GetRequiredService(parameter.ParameterType)).ToArray();
        if (method.Invoke(instance, BindingFlags.DoNotWrapExceptions, binder: null, arguments, culture: null) is Task running)
        {
            await running;
        }
    }

    private static CrontabSchedule ReadSchedule(TimerFunction function, IConfiguration configuration, List<string> problems)
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

    private sealed record Timer(TimerFunction Function, CrontabSchedule Schedule)
    {
        /// <summary>Whose turn it is to run.</summary>
        public SemaphoreSlim Turn { get; } = new(1, 1);
    }
}

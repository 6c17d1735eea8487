namespace Microsoft.Azure.Functions.Worker;

/// <summary>Stands in for the real worker's attribute of this name: a function that runs by a schedule.</summary>
/// <param name="schedule">A cron expression of six fields, a time as hh:mm:ss, or a setting's name between % signs.</param>
[AttributeUsage(AttributeTargets.Parameter)]
public sealed class TimerTriggerAttribute(string schedule) : Attribute
{
    /// <summary>The schedule as it was given.</summary>
    public string Schedule { get; } = schedule;

    /// <summary>Whether the host remembers past runs. This one never does: a laptop that slept has missed nothing.</summary>
    public bool UseMonitor { get; set; } = true;

    /// <summary>Whether the function also runs when the host starts.</summary>
    public bool RunOnStartup { get; set; }
}

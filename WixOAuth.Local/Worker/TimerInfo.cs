namespace Microsoft.Azure.Functions.Worker;

/// <summary>Stands in for the real worker's class of this name: what a timer function is told of its run.</summary>
public sealed class TimerInfo
{
    /// <summary>When it ran and will run; null here, as on the real host where past runs are not remembered.</summary>
    public ScheduleStatus? ScheduleStatus { get; set; }

    /// <summary>Whether the run is later than its schedule says.</summary>
    public bool IsPastDue { get; set; }
}

/// <summary>Stands in for the real worker's class of this name: remembered runs.</summary>
public sealed class ScheduleStatus
{
    /// <summary>The last run.</summary>
    public DateTime Last { get; set; }

    /// <summary>The next run.</summary>
    public DateTime Next { get; set; }

    /// <summary>When this was written down.</summary>
    public DateTime LastUpdated { get; set; }
}

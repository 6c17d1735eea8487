using WixOAuth.Tokens;

namespace WixOAuth.Fleets;

/// <summary>What goes wrong now, and since when nothing does. What happens at once is not counted.</summary>
internal sealed class ActiveFaults(TimeProvider time)
{
    private readonly List<FleetFault> _active = [];

    // For so long other rejections are doubted after one that was false.
    private DateTimeOffset _doubtUntil = FleetSchedule.Start;

    public bool Any => _active.Count > 0;

    /// <summary>When the last fault ended.</summary>
    public DateTimeOffset QuietSince { get; private set; } = FleetSchedule.Start;

    /// <summary>How long nothing has gone wrong.</summary>
    public TimeSpan QuietFor => Any ? TimeSpan.Zero : time.GetUtcNow() - QuietSince;

    /// <summary>From when on every healthy site has to be served.</summary>
    public DateTimeOffset ServedFrom { get; private set; } = FleetSchedule.Start;

    public bool MustServe => !Any && time.GetUtcNow() >= ServedFrom;

    /// <summary>Whether nothing can be concluded now.</summary>
    public bool IsTrouble => Any || time.GetUtcNow() < _doubtUntil;

    public void Begin(FleetFault fault) => _active.Add(fault);

    public void End(FleetFault fault)
    {
        _active.Remove(fault);
        QuietSince = time.GetUtcNow();
        _doubtUntil = QuietSince + RejectionPolicy.DoubtedFor;
        var servedFrom = QuietSince + fault.ServedWithin;
        ServedFrom = ServedFrom > servedFrom ? ServedFrom : servedFrom;
    }
}

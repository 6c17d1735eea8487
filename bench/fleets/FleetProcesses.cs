namespace WixOAuth.Fleets;

/// <summary>The processes of the service: a first one, which is replaced when it is restarted, and those that run beside it during a fault.</summary>
/// <param name="start">Starts one; whether with the wrong key, and how far its clock is ahead.</param>
internal sealed class FleetProcesses(Func<bool, TimeSpan, FleetProcess> start) : IDisposable
{
    // All that were ever started: what one has begun goes on to its end, as at a graceful stop.
    private readonly List<FleetProcess> _started = [];
    private readonly List<FleetFault> _active = [];
    private readonly List<(FleetFault Fault, FleetProcess Process)> _beside = [];
    private FleetProcess? _first;

    /// <summary>Those that run now, the first one first.</summary>
    public IReadOnlyList<FleetProcess> Running => [First, .. _beside.Select(each => each.Process)];

    private FleetProcess First => _first ??= Start(HasWrongKey, Offset);

    private bool HasWrongKey => _active.Exists(fault => fault is FleetFault.WrongKey { Beside: false });

    private TimeSpan Offset => _active.OfType<FleetFault.WrongClock>().Where(clock => !clock.Beside).Aggregate(TimeSpan.Zero, (sum, clock) => sum + clock.By);

    public void Restart() => _first = null;

    public void Begin(FleetFault fault)
    {
        switch (fault)
        {
            case FleetFault.WrongKey { Beside: true }:
                _beside.Add((fault, Start(hasWrongKey: true, TimeSpan.Zero)));
                break;
            case FleetFault.WrongClock { Beside: true } clock:
                _beside.Add((fault, Start(hasWrongKey: false, clock.By)));
                break;
        }

        _active.Add(fault);
        ApplyToFirst(fault);
    }

    public void End(FleetFault fault)
    {
        _active.Remove(fault);
        _beside.RemoveAll(each => each.Fault == fault);
        ApplyToFirst(fault);
    }

    public void Dispose() => _started.ForEach(process => process.Dispose());

    private void ApplyToFirst(FleetFault fault)
    {
        switch (fault)
        {
            case FleetFault.WrongKey { Beside: false }:
                Restart();
                break;
            case FleetFault.WrongClock { Beside: false }:
                First.Offset = Offset;
                break;
        }
    }

    private FleetProcess Start(bool hasWrongKey, TimeSpan offset)
    {
        _started.Add(start(hasWrongKey, offset));
        return _started[^1];
    }
}

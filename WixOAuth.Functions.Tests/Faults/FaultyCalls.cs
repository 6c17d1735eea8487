namespace WixOAuth.Functions.Tests.Faults;

/// <summary>A call that an operation makes: of what kind, and which of that kind.</summary>
internal sealed record Call(string Kind, int Number)
{
    public override string ToString() => Number == 1 ? Kind : $"{Kind}, {Number}.";
}

/// <summary>Counts the calls of an operation, and has one of them go wrong.</summary>
internal sealed class FaultyCalls
{
    private readonly Lock _lock = new();
    private readonly List<Call> _made = [];
    private Call? _broken;
    private Fault? _fault;
    private bool _goesOn;

    /// <summary>What was called, in its order.</summary>
    public IReadOnlyList<Call> Made
    {
        get
        {
            lock (_lock)
            {
                return [.. _made];
            }
        }
    }

    public int Count(string kind) => Made.Count(call => call.Kind == kind);

    /// <summary>Counts from zero again, and breaks that call; then all calls of its kind if the fault persists.</summary>
    public void Break(Call? call, Fault? fault, bool goesOn)
    {
        lock (_lock)
        {
            _made.Clear();
            (_broken, _fault, _goesOn) = (call, fault, goesOn);
        }
    }

    /// <summary>Notes a call; answers what goes wrong with it.</summary>
    public Fault? Meet(string kind)
    {
        lock (_lock)
        {
            var call = new Call(kind, _made.Count(made => made.Kind == kind) + 1);
            _made.Add(call);
            return _broken?.Kind == kind && (call.Number == _broken.Number || (_goesOn && call.Number > _broken.Number)) ? _fault : null;
        }
    }
}

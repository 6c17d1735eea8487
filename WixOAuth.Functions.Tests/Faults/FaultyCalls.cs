namespace WixOAuth.Functions.Tests.Faults;

/// <summary>A call that an operation makes.</summary>
/// <param name="Kind">What is called.</param>
/// <param name="Number">Which call of that kind, from 1.</param>
internal sealed record Call(string Kind, int Number)
{
    public override string ToString() => Number == 1 ? Kind : $"{Kind} ({Number})";
}

/// <summary>Counts the calls of an operation, and injects a fault into one of them.</summary>
internal sealed class FaultyCalls
{
    private readonly Lock _lock = new();
    private readonly List<Call> _made = [];
    private Call? _broken;
    private Fault? _fault;
    private bool _persists;

    /// <summary>The calls, in order.</summary>
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

    /// <summary>Counts from zero again, and injects the fault into that call; into every later one of its kind too if the fault persists.</summary>
    public void Break(Call? call, Fault? fault, bool persists)
    {
        lock (_lock)
        {
            _made.Clear();
            (_broken, _fault, _persists) = (call, fault, persists);
        }
    }

    /// <summary>Records a call.</summary>
    /// <returns>Its fault; null when there is none.</returns>
    public Fault? Meet(string kind)
    {
        lock (_lock)
        {
            var call = new Call(kind, _made.Count(made => made.Kind == kind) + 1);
            _made.Add(call);
            return _broken?.Kind == kind && (call.Number == _broken.Number || (_persists && call.Number > _broken.Number)) ? _fault : null;
        }
    }
}

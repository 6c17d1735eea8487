using WixOAuth.Instances;

namespace WixOAuth.Events;

/// <summary>
/// Stops deliveries while the receiver is down, so that thousands of waiting events do not each wait for a timeout. It
/// opens when attempts for several instances fail in a row: one event that a receiver cannot take does not open it. While it
/// is open, one attempt in each pause finds out when the receiver is back. Safe for concurrent use.
/// </summary>
internal sealed class ReceiverCircuit(TimeProvider time)
{
    private const int InstancesToOpen = 3;

    // Shorter than the minute between two sweeps, so that each sweep can try.
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(45);

    private readonly Lock _gate = new();
    private readonly HashSet<InstanceId> _failed = [];
    private long? _pausedAt;
    private DateTimeOffset? _recoveredAt;

    /// <summary>When the receiver answered again after the circuit was open; null if it never was.</summary>
    public DateTimeOffset? RecoveredAt
    {
        get
        {
            lock (_gate)
            {
                return _recoveredAt;
            }
        }
    }

    private bool IsOpen => _failed.Count >= InstancesToOpen;

    /// <summary>Whether an attempt may be made now. While the circuit is open, true is answered once in each pause.</summary>
    public bool TryEnter()
    {
        lock (_gate)
        {
            if (!IsOpen)
            {
                return true;
            }

            if (_pausedAt is { } pausedAt && time.GetElapsedTime(pausedAt) < Pause)
            {
                return false;
            }

            _pausedAt = time.GetTimestamp();
            return true;
        }
    }

    /// <summary>The attempt was not made after all: another event may have it at once.</summary>
    public void NotTried()
    {
        lock (_gate)
        {
            _pausedAt = null;
        }
    }

    /// <summary>An attempt was delivered or refused for good: the receiver works.</summary>
    public void Succeeded()
    {
        lock (_gate)
        {
            if (IsOpen)
            {
                _recoveredAt = time.GetUtcNow();
            }

            _failed.Clear();
        }
    }

    /// <returns>True when this one opened the circuit.</returns>
    public bool Failed(InstanceId id)
    {
        lock (_gate)
        {
            if (IsOpen || !_failed.Add(id) || !IsOpen)
            {
                return false;
            }

            _pausedAt = time.GetTimestamp();
            return true;
        }
    }
}

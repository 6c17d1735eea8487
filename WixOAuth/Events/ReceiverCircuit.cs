using WixOAuth.Instances;

namespace WixOAuth.Events;

/// <summary>
/// Stops deliveries while the receiver is down, so that thousands of waiting events do not each wait for a timeout. It
/// opens when attempts for several instances fail in a row: one event that a receiver cannot take does not open it. While it
/// is open, one attempt in each pause finds out when the receiver is back. Safe for concurrent use.
/// </summary>
internal sealed class ReceiverCircuit(TimeProvider time)
{
    private const int FailuresToOpen = 5;
    private const int InstancesToOpen = 3;

    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(1);

    private readonly Lock _gate = new();
    private readonly HashSet<InstanceId> _failed = [];
    private int _failures;
    private TimeSpan _pause;
    private DateTimeOffset _probeAt;
    private bool _isOpen;

    /// <summary>When the receiver answered again after the circuit was open; null if it never was.</summary>
    public DateTimeOffset? RecoveredAt { get; private set; }

    /// <summary>Whether an attempt may be made now. While the circuit is open, true is answered once in each pause.</summary>
    public bool TryEnter()
    {
        lock (_gate)
        {
            var now = time.GetUtcNow();
            if (!_isOpen)
            {
                return true;
            }

            if (now < _probeAt)
            {
                return false;
            }

            _probeAt = now + _pause;
            return true;
        }
    }

    /// <summary>An attempt was delivered or refused for good: the receiver works.</summary>
    public void Succeeded()
    {
        lock (_gate)
        {
            if (_isOpen)
            {
                RecoveredAt = time.GetUtcNow();
            }

            _isOpen = false;
            _failures = 0;
            _failed.Clear();
        }
    }

    /// <summary>An attempt failed.</summary>
    /// <returns>True when this one opened the circuit.</returns>
    public bool Failed(InstanceId id)
    {
        lock (_gate)
        {
            _failures++;
            if (_failed.Count < InstancesToOpen)
            {
                _failed.Add(id);
            }

            if (_isOpen)
            {
                _pause = _pause * 2 < LongestPause ? _pause * 2 : LongestPause;
                _probeAt = time.GetUtcNow() + _pause;
                return false;
            }

            if (_failures < FailuresToOpen || _failed.Count < InstancesToOpen)
            {
                return false;
            }

            (_isOpen, _pause) = (true, FirstPause);
            _probeAt = time.GetUtcNow() + _pause;
            return true;
        }
    }
}

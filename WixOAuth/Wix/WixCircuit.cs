using Microsoft.Extensions.Logging;
using WixOAuth.Telemetry;

namespace WixOAuth.Wix;

/// <summary>
/// The circuit to Wix, shared by the whole process. One 429, or <see cref="FailuresToOpen"/> refreshes in a row that
/// Wix does not answer, open it; then one call each <see cref="ProbeInterval"/> finds out whether Wix is back, and its
/// success closes it. Safe for concurrent use.
/// </summary>
/// <remarks>
/// Only refreshes pass through it, by either grant. An exchange of a code cannot wait, and anybody can send a code, so
/// it neither waits for the circuit nor moves it. Polly's own circuit breaker does not serve here: it needs at least
/// two calls to open, cannot be asked before a lease is taken, and is closed by a probe that is cancelled.
/// </remarks>
internal sealed partial class WixCircuit
{
    public static readonly TimeSpan ProbeInterval = TimeSpan.FromSeconds(10);

    /// <summary>How many calls in a row have to fail, within <see cref="FailureWindow"/>, to open the circuit without a 429.</summary>
    public const int FailuresToOpen = 5;

    /// <summary>How long a run of failures is counted, so that the rare failures of a quiet fleet never add up.</summary>
    public static readonly TimeSpan FailureWindow = TimeSpan.FromMinutes(1);

    /// <summary>An open circuit that was not probed for this long no longer reflects Wix's state, and closes.</summary>
    public static readonly TimeSpan LongestWithoutProbe = TimeSpan.FromMinutes(5);

    private readonly TimeProvider _time;
    private readonly ILogger<WixCircuit> _logger;
    private readonly Lock _lock = new();
    private long? _openedAt;
    private long _pausedAt;
    private bool _probeIsReserved;
    private int _failures;
    private long _firstFailureAt;

    public WixCircuit(Instruments instruments, TimeProvider time, ILogger<WixCircuit> logger)
    {
        (_time, _logger) = (time, logger);
        instruments.Meter.CreateObservableGauge(
            "wixoauth.wix.throttled", () => IsOpen ? 1 : 0, "1", "1 while the circuit to Wix is open and refreshes pause.");
    }

    /// <summary>Whether Wix throttles or fails this process: refreshes ahead of time pause.</summary>
    public bool IsOpen
    {
        get
        {
            lock (_lock)
            {
                CloseIfForgotten();
                return _openedAt is not null;
            }
        }
    }

    /// <summary>How long no refresh gets through, from zero to <see cref="ProbeInterval"/>; zero while the circuit is closed.</summary>
    public TimeSpan RetryAfter
    {
        get
        {
            lock (_lock)
            {
                CloseIfForgotten();
                return Pause();
            }
        }
    }

    /// <summary>
    /// Asks before a refresh, and before its lease is taken: an open circuit would only waste both. While it is open,
    /// one caller each <see cref="ProbeInterval"/> gets through, as the probe.
    /// </summary>
    /// <param name="retryAfter">How long to wait where it is refused; zero otherwise.</param>
    public bool TryEnter(out TimeSpan retryAfter)
    {
        lock (_lock)
        {
            CloseIfForgotten();
            retryAfter = Pause();
            if (retryAfter > TimeSpan.Zero)
            {
                return false;
            }

            if (_openedAt is not null)
            {
                (_pausedAt, _probeIsReserved) = (_time.GetTimestamp(), true);
            }

            return true;
        }
    }

    /// <summary>Begins a call; false where the circuit refuses it, because it opened since the caller entered.</summary>
    internal bool TryBegin(out bool isProbe)
    {
        lock (_lock)
        {
            CloseIfForgotten();
            isProbe = _openedAt is not null;
            if (!isProbe)
            {
                return true;
            }

            if (!_probeIsReserved && Pause() > TimeSpan.Zero)
            {
                return false;
            }

            (_pausedAt, _probeIsReserved) = (_time.GetTimestamp(), false);
            return true;
        }
    }

    /// <summary>Ends a call; <paramref name="response"/> is null where none came.</summary>
    internal void End(bool isProbe, WixResponse? response)
    {
        // A rejection is an answer too: Wix is there.
        var answered = response is { Kind: not WixResponseKind.Unavailable, Body: not null };
        lock (_lock)
        {
            if (_openedAt is not null)
            {
                // Whatever began before it opened says nothing about now.
                if (answered && isProbe)
                {
                    Close();
                }
            }
            else if (answered)
            {
                _failures = 0;
            }
            else if (response?.Status == 429 || CountFailure() >= FailuresToOpen)
            {
                Open(response);
            }
        }
    }

    private int CountFailure()
    {
        if (_failures == 0 || _time.GetElapsedTime(_firstFailureAt) > FailureWindow)
        {
            (_failures, _firstFailureAt) = (0, _time.GetTimestamp());
        }

        return ++_failures;
    }

    private TimeSpan Pause()
    {
        var left = _openedAt is null ? TimeSpan.Zero : ProbeInterval - _time.GetElapsedTime(_pausedAt);
        return left > TimeSpan.Zero ? left : TimeSpan.Zero;
    }

    private void Open(WixResponse? response)
    {
        _openedAt = _pausedAt = _time.GetTimestamp();
        _probeIsReserved = false;
        CircuitOpened(response?.Status, response?.RequestId, ProbeInterval.TotalSeconds);
    }

    private void Close()
    {
        CircuitClosed(_time.GetElapsedTime(_openedAt!.Value).TotalSeconds);
        (_openedAt, _failures) = (null, 0);
    }

    private void CloseIfForgotten()
    {
        if (_openedAt is not null && _time.GetElapsedTime(_pausedAt) >= LongestWithoutProbe)
        {
            Close();
        }
    }

    [LoggerMessage(701, LogLevel.Warning, "The circuit to Wix opened (status {Status}, Wix request id {RequestId}): refreshes pause, and one call every {Seconds} s checks whether Wix is back")]
    private partial void CircuitOpened(int? status, string? requestId, double seconds);

    [LoggerMessage(702, LogLevel.Information, "The circuit to Wix closed after {Seconds:F0} s")]
    private partial void CircuitClosed(double seconds);
}

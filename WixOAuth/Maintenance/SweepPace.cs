using WixOAuth.Wix;

namespace WixOAuth.Maintenance;

/// <summary>
/// How many instances a sweep refreshes at a time: few at first, twice as many each time that many went well, so that
/// the first 429 finds few in flight. While the circuit to Wix is open it sends one each time the circuit lets one
/// through, and starts again with one when it closes.
/// </summary>
internal sealed class SweepPace(WixCircuit circuit, int most, TimeProvider time) : IDisposable
{
    /// <summary>How many begin at a time.</summary>
    public const int First = 8;

    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _ended = new(0);
    private int _allowed = Math.Min(First, most);
    private int _inFlight;
    private int _wentWell;

    /// <summary>Waits until one more may begin. Only one caller waits at a time.</summary>
    /// <exception cref="OperationCanceledException">The sweep ends.</exception>
    public async Task WaitAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!MayBegin())
            {
                await _ended.WaitAsync(cancellationToken);
            }
            else if (circuit.RetryAfter is var pause && pause > TimeSpan.Zero)
            {
                // Task.Delay truncates to whole milliseconds. Round up, or the remainder becomes a busy loop.
                await Task.Delay(TimeSpan.FromMilliseconds(Math.Ceiling(pause.TotalMilliseconds)), time, cancellationToken);
            }
            else
            {
                return;
            }
        }
    }

    /// <summary>Begins one, after <see cref="WaitAsync"/>.</summary>
    /// <param name="work">The work; returns whether it went well.</param>
    public void Begin(Func<Task<bool>> work)
    {
        lock (_lock)
        {
            _inFlight++;
        }

        _ = RunAsync();

        async Task RunAsync()
        {
            var wentWell = false;
            try
            {
                wentWell = await work();
            }
            finally
            {
                lock (_lock)
                {
                    _inFlight--;
                    if (wentWell && ++_wentWell >= _allowed)
                    {
                        (_allowed, _wentWell) = (Math.Min(_allowed * 2, most), 0);
                    }

                    // Inside the lock: after the last one has ended this object may be disposed.
                    _ended.Release();
                }
            }
        }
    }

    /// <summary>Waits until all that has begun has ended.</summary>
    public async Task WhenIdleAsync()
    {
        while (IsBusy())
        {
            await _ended.WaitAsync(CancellationToken.None);
        }
    }

    public void Dispose() => _ended.Dispose();

    private bool MayBegin()
    {
        lock (_lock)
        {
            if (circuit.IsOpen)
            {
                (_allowed, _wentWell) = (1, 0);
            }

            return _inFlight < _allowed;
        }
    }

    private bool IsBusy()
    {
        lock (_lock)
        {
            return _inFlight > 0;
        }
    }
}

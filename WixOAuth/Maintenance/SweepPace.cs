using System.Threading.Channels;
using WixOAuth.Wix;

namespace WixOAuth.Maintenance;

/// <summary>
/// Limits how many refreshes a sweep has in progress. The limit starts low and doubles after as many successes in a row, so
/// that few refreshes are in progress at the first 429. While the circuit to Wix is open the limit is one, and it grows from
/// there when the circuit closes. For the loop of one sweep only.
/// </summary>
internal sealed class SweepPace(WixCircuit circuit, int most, TimeProvider time)
{
    /// <summary>How many begin at a time.</summary>
    public const int First = 8;

    // Whether each one went well, as it ends. All else is changed by the loop alone.
    private readonly Channel<bool> _ended = Channel.CreateUnbounded<bool>();
    private int _allowed = Math.Min(First, most);
    private int _inFlight;
    private int _wentWell;

    /// <exception cref="OperationCanceledException">The sweep ends.</exception>
    public async Task WaitAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            CountEnded();
            if (circuit.IsOpen)
            {
                (_allowed, _wentWell) = (1, 0);
            }

            if (_inFlight >= _allowed)
            {
                await _ended.Reader.WaitToReadAsync(cancellationToken);
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

    /// <summary>Begins work, after <see cref="WaitAsync"/>. The work returns whether it went well.</summary>
    public void Begin(Func<Task<bool>> work)
    {
        _inFlight++;
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
                _ended.Writer.TryWrite(wentWell);
            }
        }
    }

    public async Task WhenIdleAsync()
    {
        for (CountEnded(); _inFlight > 0; CountEnded())
        {
            await _ended.Reader.WaitToReadAsync(CancellationToken.None);
        }
    }

    private void CountEnded()
    {
        while (_ended.Reader.TryRead(out var wentWell))
        {
            _inFlight--;
            _wentWell = wentWell ? _wentWell + 1 : 0;
            if (_wentWell >= _allowed)
            {
                (_allowed, _wentWell) = (Math.Min(_allowed * 2, most), 0);
            }
        }
    }
}

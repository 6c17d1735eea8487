using Microsoft.Extensions.Logging;
using WixOAuth.Maintenance;
using WixOAuth.Tokens;

namespace WixOAuth.Http;

/// <summary>
/// What the timers run. A failure is thrown to the host as a <see cref="TimerFailedException"/>, so that the host reports
/// the run as failed; the next tick tries again.
/// </summary>
public sealed partial class TimerEndpoints(RefreshSweep sweep, Housekeeping housekeeping, TokenReencryption reencryption, TimeProvider time, ILogger<TimerEndpoints> logger)
{
    /// <summary>The timer <c>RefreshTokens</c>.</summary>
    /// <exception cref="TimerFailedException">The sweep failed.</exception>
    public async Task RefreshTokens(CancellationToken cancellationToken) =>
        ThrowIfAny(await FailureOfAsync(nameof(RefreshTokens), () => sweep.RunAsync(cancellationToken), cancellationToken));

    /// <summary>The timer <c>Housekeeping</c>. Re-encryption runs even when the removal of old rows fails.</summary>
    /// <exception cref="TimerFailedException">One of the two failed.</exception>
    public async Task Housekeeping(CancellationToken cancellationToken)
    {
        using var inTime = new CancellationTokenSource(Tokens.Housekeeping.LongestRun, time);
        using var until = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, inTime.Token);
        ThrowIfAny(
            await FailureOfAsync(nameof(Housekeeping), () => housekeeping.RunAsync(cancellationToken), cancellationToken),
            await FailureOfAsync(nameof(Housekeeping), () => reencryption.RunAsync(until.Token), until.Token));
    }

    private async Task<TimerFailedException?> FailureOfAsync(string function, Func<Task> work, CancellationToken cancellationToken)
    {
        try
        {
            await work();
            return null;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return null;
        }
        catch (Exception exception)
        {
            LogFailed(function, exception.GetType().Name, exception.StackTrace);
            return new TimerFailedException($"{function} failed: {exception.GetType().Name}.");
        }
    }

    private static void ThrowIfAny(params ReadOnlySpan<TimerFailedException?> failures)
    {
        foreach (var failure in failures)
        {
            if (failure is not null)
            {
                throw failure;
            }
        }
    }

    [LoggerMessage(303, LogLevel.Error, "The timer function {Function} failed: {Error} {Stack}")]
    private partial void LogFailed(string function, string error, string? stack);
}

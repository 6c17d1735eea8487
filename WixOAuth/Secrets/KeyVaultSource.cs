using System.Globalization;
using Azure;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Secrets;

/// <summary>
/// A secret from Key Vault, cached. It is read again in the background when it is 12 minutes old, and callers never get
/// one older than 15 minutes, unless the last read failed: then the known value is returned at once, however old, and the
/// vault is asked again every 30 seconds while there are callers.
/// </summary>
/// <remarks>
/// At most one read is in flight; all callers share it, and a caller that cancels does not end it for others.
/// <paramref name="read"/> returns the secret's version too, or null where there is no such secret, and what of it could not
/// be read, in which case it is soon asked for again. It raises <see cref="SecretUnavailableException"/> where there is
/// nothing to return.
/// </remarks>
internal sealed class KeyVaultSource<T>(
    string name, Func<Task<(T Value, string? Version, SecretUnavailableException? Problem)>> read, TimeProvider time, ILogger logger) : ISecretSource<T>
    where T : class
{
    public static readonly TimeSpan MaxAge = TimeSpan.FromMinutes(15);
    public static readonly TimeSpan RefreshAge = TimeSpan.FromMinutes(12);
    public static readonly TimeSpan NewestInterval = TimeSpan.FromMinutes(1);
    public static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(30);

    // Shorter, because nothing works meanwhile; still not a flood of requests to a vault that refuses at once.
    public static readonly TimeSpan FirstRetryInterval = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private volatile Reading? _reading;
    private volatile Failure? _failure;
    private long _askedAt;
    private Task? _pendingRead;

    public bool IsFailing => _failure is not null;

    public ValueTask<T> GetAsync(CancellationToken cancellationToken) =>
        _reading is { } reading && time.GetElapsedTime(reading.At) < RefreshAge
            ? new ValueTask<T>(reading.Value)
            : AskAsync(newest: false, cancellationToken);

    public ValueTask<T> GetNewestAsync(CancellationToken cancellationToken) => AskAsync(newest: true, cancellationToken);

    private async ValueTask<T> AskAsync(bool newest, CancellationToken cancellationToken)
    {
        Task? pending = null;
        lock (_gate)
        {
            if (_pendingRead is null && MayAsk(newest))
            {
                _askedAt = time.GetTimestamp();
                _pendingRead = Task.Run(ReadAsync, CancellationToken.None);
            }

            if (newest || _reading is not { } known || (_failure is null && time.GetElapsedTime(known.At) >= MaxAge))
            {
                pending = _pendingRead;
            }
        }

        if (pending is not null)
        {
            await pending.WaitAsync(cancellationToken);
        }

        lock (_gate)
        {
            // A new exception for each caller: throwing one instance on several threads corrupts its stack trace.
            return _reading?.Value ?? throw new SecretUnavailableException(_failure!.Problem.Message, _failure.Problem);
        }
    }

    private bool MayAsk(bool newest)
    {
        if (_failure is { } failure && (newest || time.GetElapsedTime(failure.At) < failure.RetryIn))
        {
            return time.GetElapsedTime(failure.At) >= failure.RetryIn;
        }

        return _reading is not { } reading
            || time.GetElapsedTime(reading.At) >= RefreshAge
            || (newest && time.GetElapsedTime(_askedAt) >= NewestInterval);
    }

    private async Task ReadAsync()
    {
        var sentAt = time.GetTimestamp();
        Reading? reading = null;
        SecretUnavailableException? problem;
        try
        {
            (var value, var version, problem) = await read();
            reading = new Reading(value, version, sentAt);
        }
        catch (Exception exception)
        {
            // Every exception: a pending read that faults would never be replaced.
            problem = exception as SecretUnavailableException
                ?? new SecretUnavailableException($"The secret '{name}' could not be read from Key Vault.", exception);
        }

        End(reading, problem);
    }

    private void End(Reading? reading, SecretUnavailableException? problem)
    {
        Reading? before;
        Failure? failure = null;
        lock (_gate)
        {
            before = _reading;
            if (problem is not null)
            {
                var isSoon = reading is not null || before is null;
                failure = new Failure(problem, time.GetTimestamp(), RetryIn(problem, isSoon ? FirstRetryInterval : RetryInterval));
            }

            (_reading, _failure, _pendingRead) = (reading ?? before, failure, null);
        }

        if (reading is { Version: { } version } && version != before?.Version)
        {
            logger.VersionInUse(name, version);
        }
        else if (reading is { Version: null } && before is not { Version: null })
        {
            logger.NoSuchSecret(name);
        }

        if (failure is not null && (reading ?? before) is { } known)
        {
            logger.KnownVersionServes(failure.Problem, failure.Problem.Message, time.GetElapsedTime(known.At), failure.RetryIn);
        }
        else if (failure is not null)
        {
            logger.NothingKnown(failure.Problem, failure.Problem.Message, failure.RetryIn);
        }
    }

    private static TimeSpan RetryIn(SecretUnavailableException problem, TimeSpan least)
    {
        var told = problem.InnerException is RequestFailedException failure
            && failure.GetRawResponse() is { } response
            && response.Headers.TryGetValue("Retry-After", out var text)
            && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
                ? TimeSpan.FromSeconds(Math.Min(seconds, 60))
                : TimeSpan.Zero;
        return told > least ? told : least;
    }

    private sealed record Reading(T Value, string? Version, long At);

    private sealed record Failure(SecretUnavailableException Problem, long At, TimeSpan RetryIn);
}

using System.Globalization;
using Azure;
using Azure.Security.KeyVault.Secrets;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Secrets;

/// <summary>
/// The newest version of one secret, kept in memory. It is read anew in the background when it is 12 minutes old;
/// nobody is given one older than 15 minutes, unless the last reading failed: then the known one goes on serving at
/// once, however old, and the vault is asked again every 30 seconds while there are callers.
/// </summary>
/// <remarks>At most one reading is under way; all who wait share it, and one who goes away ends it for nobody.</remarks>
/// <typeparam name="T">What the secret is read as.</typeparam>
/// <param name="vault">Where it is read.</param>
/// <param name="name">Its name there.</param>
/// <param name="parse">Makes a <typeparamref name="T"/> of it, or raises <see cref="SecretUnavailableException"/> where it is malformed.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">Told of new versions and of every failure.</param>
/// <param name="whenMissing">What a secret that is not there is read as; null where that is a failure.</param>
internal sealed class VaultSecret<T>(
    VaultReader vault, string name, Func<KeyVaultSecret, T> parse, TimeProvider time, ILogger logger, T? whenMissing = null)
    where T : class
{
    public static readonly TimeSpan MaxAge = TimeSpan.FromMinutes(15);
    public static readonly TimeSpan RefreshAge = TimeSpan.FromMinutes(12);
    public static readonly TimeSpan NewestInterval = TimeSpan.FromMinutes(1);
    public static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(30);

    // Shorter than the other, because meanwhile nothing works; still no storm of requests at a vault that refuses at once.
    public static readonly TimeSpan FirstRetryInterval = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private volatile Reading? _reading;
    private Failure? _failure;
    private long _askedAt;
    private Task? _flight;

    /// <summary>Whether a version was ever read.</summary>
    public bool IsKnown => _reading is not null;

    /// <summary>The newest version as far as known, at most <see cref="MaxAge"/> old while the vault can be reached.</summary>
    /// <exception cref="SecretUnavailableException">None was ever read.</exception>
    public ValueTask<T> GetAsync(CancellationToken cancellationToken) =>
        _reading is { } reading && time.GetElapsedTime(reading.At) < RefreshAge
            ? new ValueTask<T>(reading.Value)
            : AskAsync(newest: false, cancellationToken);

    /// <summary>The newest version by the vault's own word, which is asked for at most every <see cref="NewestInterval"/>.</summary>
    /// <exception cref="SecretUnavailableException">None was ever read.</exception>
    public ValueTask<T> GetNewestAsync(CancellationToken cancellationToken) => AskAsync(newest: true, cancellationToken);

    private async ValueTask<T> AskAsync(bool newest, CancellationToken cancellationToken)
    {
        Task? flight = null;
        lock (_gate)
        {
            if (_flight is null && MayAsk(newest))
            {
                _askedAt = time.GetTimestamp();
                _flight = Task.Run(ReadAsync, CancellationToken.None);
            }

            if (newest || _reading is not { } known || (_failure is null && time.GetElapsedTime(known.At) >= MaxAge))
            {
                flight = _flight;
            }
        }

        if (flight is not null)
        {
            await flight.WaitAsync(cancellationToken);
        }

        lock (_gate)
        {
            // A failure of its own for each caller: one exception thrown on several threads garbles its stack.
            return _reading?.Value ?? throw new SecretUnavailableException(_failure!.Problem.Message, _failure.Problem);
        }
    }

    private bool MayAsk(bool newest)
    {
        if (_failure is { } failure && time.GetElapsedTime(failure.At) < failure.RetryIn)
        {
            return false;
        }

        return _reading is not { } reading
            || time.GetElapsedTime(reading.At) >= RefreshAge
            || (newest && time.GetElapsedTime(_askedAt) >= NewestInterval);
    }

    private async Task ReadAsync()
    {
        var sentAt = time.GetTimestamp();
        try
        {
            Succeeded(await vault.ReadAsync(name, version: null) is { } secret
                ? new Reading(parse(secret), secret.Properties.Version, sentAt)
                : new Reading(
                    whenMissing ?? throw new SecretUnavailableException($"There is no secret '{name}' in Key Vault: it answered HTTP 404."),
                    Version: null,
                    sentAt));
        }
        catch (Exception exception)
        {
            // Whatever it is: a flight that ends with an exception would never be replaced by another.
            Failed(exception as SecretUnavailableException
                ?? new SecretUnavailableException($"The secret '{name}' could not be read from Key Vault.", exception));
        }
    }

    private void Succeeded(Reading reading)
    {
        bool isNew;
        lock (_gate)
        {
            isNew = _reading is null || _reading.Version != reading.Version;
            _reading = reading;
            _failure = null;
            _flight = null;
        }

        if (isNew && reading.Version is { } version)
        {
            logger.VersionInUse(name, version);
        }
        else if (isNew)
        {
            logger.NoSuchSecret(name);
        }
    }

    private void Failed(SecretUnavailableException problem)
    {
        Reading? known;
        TimeSpan retryIn;
        lock (_gate)
        {
            known = _reading;
            retryIn = RetryIn(problem, known is null ? FirstRetryInterval : RetryInterval);
            _failure = new Failure(problem, time.GetTimestamp(), retryIn);
            _flight = null;
        }

        if (known is null)
        {
            logger.NothingKnown(problem, problem.Message, retryIn);
        }
        else
        {
            logger.KnownVersionServes(problem, problem.Message, time.GetElapsedTime(known.At), retryIn);
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

using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Secrets;

namespace WixOAuth.Protection;

/// <summary>
/// Whether this process has the protection keys that the stored tokens are sealed with; with others it must not write
/// anything sealed. Opens the key-check row at start and hourly. The row is written only where no sealed token is stored, or after a stored
/// token was opened with the keys of this process. An operator who has lost a key for good empties the row; then the next
/// process seals it with the key it has.
/// </summary>
internal sealed partial class ProtectionKeyCheck(
    IKeyCheckStore checks, IInstanceStore instances, IKeyRing keys, TimeProvider time, ILogger<ProtectionKeyCheck> logger)
    : BackgroundService
{
    /// <summary>How often the row is opened while all is well.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    /// <summary>How often, at most, it is opened after a failed check, when tokens are to be sealed or were opened.</summary>
    public static readonly TimeSpan RecheckInterval = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(5);
    private const int MaxTries = 3;

    // Where there is no row yet: how many instances are looked at for a token that opens, and how many tokens may fail to.
    private const int MaxRead = 5_000;
    private const int MaxTried = 20;

    private readonly Lock _lock = new();
    private volatile Result? _last;
    private Task<bool>? _pending;

    /// <summary>
    /// Whether tokens may be sealed for storage. Completes synchronously once that is known, except that a no is checked
    /// again after a minute.
    /// </summary>
    /// <exception cref="SecretUnavailableException">No protection key is known, or Key Vault fails when the one of the stored tokens is looked for.</exception>
    /// <exception cref="StorageUnavailableException">The key-check row cannot be read or written.</exception>
    public ValueTask<bool> IsPassedAsync(CancellationToken cancellationToken) =>
        _last is { } last && (last.IsPassed || time.GetElapsedTime(last.At) < RecheckInterval)
            ? new ValueTask<bool>(last.IsPassed)
            : new ValueTask<bool>(CheckAsync().WaitAsync(cancellationToken));

    /// <summary>A stored token was opened: after a no, the keys may be right again.</summary>
    public void OnTokenOpened()
    {
        if (_last is { IsPassed: false } last && time.GetElapsedTime(last.At) >= RecheckInterval)
        {
            _ = CheckAsync();
        }
    }

    /// <summary>Seals the key-check row with <paramref name="newest"/> if it opens; returns the id of the key that it then needs.</summary>
    /// <exception cref="StorageUnavailableException">The row cannot be read or written.</exception>
    public async Task<string?> ResealAsync(ProtectionKey newest, CancellationToken cancellationToken)
    {
        if (await checks.FindKeyCheckAsync(cancellationToken) is not { Check: { } check } stored)
        {
            return null;
        }

        try
        {
            return check.KeyId != newest.Id
                && await FindKeyAsync(check.KeyId) is { } key
                && KeyCheck.Opens(key, check)
                && await checks.TryWriteKeyCheckAsync(stored, KeyCheck.Seal(newest), cancellationToken)
                    ? newest.Id
                    : check.KeyId;
        }
        catch (SecretUnavailableException)
        {
            return check.KeyId;
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (!stoppingToken.IsCancellationRequested)
            {
                await Task.Delay(await TryCheckAsync() ? Interval : RetryInterval, time, stoppingToken);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The program stops.
        }
    }

    /// <summary>Whether there was a result. Storage and Key Vault report their own failures.</summary>
    private async Task<bool> TryCheckAsync()
    {
        try
        {
            await CheckAsync();
            return true;
        }
        catch (Exception exception)
        {
            NotChecked(exception.GetType().Name);
            return false;
        }
    }

    private Task<bool> CheckAsync()
    {
        lock (_lock)
        {
            return _pending ??= RunAsync();
        }
    }

    private async Task<bool> RunAsync()
    {
        await Task.Yield();
        try
        {
            var wanted = await FindWantedKeysAsync();
            var isPassed = wanted.Count == 0;
            if (!isPassed && _last is not { IsPassed: false })
            {
                Failed(string.Join(", ", wanted), string.Join(", ", await keys.GetIdsAsync(CancellationToken.None)));
            }
            else if (isPassed && _last is { IsPassed: false })
            {
                PassedAgain();
            }

            _last = new Result(isPassed, time.GetTimestamp());
            return isPassed;
        }
        finally
        {
            lock (_lock)
            {
                _pending = null;
            }
        }
    }

    /// <summary>Ids of the keys that stored tokens need and this process lacks; empty when the check passes.</summary>
    private async Task<IReadOnlyCollection<string>> FindWantedKeysAsync()
    {
        var current = await keys.GetCurrentAsync(CancellationToken.None);
        for (var tries = 0; tries < MaxTries; tries++)
        {
            var stored = await checks.FindKeyCheckAsync(CancellationToken.None);
            if (stored?.Check is { } check)
            {
                return await FindKeyAsync(check.KeyId) is { } key && KeyCheck.Opens(key, check) ? [] : [check.KeyId];
            }

            if (stored is null && await FindKeysOfTokensAsync() is { Count: > 0 } wanted)
            {
                return wanted;
            }

            if (await checks.TryWriteKeyCheckAsync(stored, KeyCheck.Seal(current), CancellationToken.None))
            {
                return [];
            }
        }

        throw new StorageUnavailableException("The key-check row could not be written: other processes keep changing it.");
    }

    /// <summary>The ids of the keys of stored tokens that do not open; empty when one of them opens, or there are none.</summary>
    private async Task<IReadOnlyCollection<string>> FindKeysOfTokensAsync()
    {
        var (wanted, tried) = (new HashSet<string>(StringComparer.Ordinal), 0);
        await foreach (var summary in instances.ReadSummariesAsync(CancellationToken.None).Take(MaxRead))
        {
            foreach (var keyId in new[] { summary.RefreshTokenKeyId, summary.AccessTokenKeyId }.OfType<string>().Distinct())
            {
                switch (await OpensTokenAsync(summary.Id, keyId))
                {
                    case true:
                        return [];
                    case false:
                        wanted.Add(keyId);
                        tried++;
                        break;
                }

                if (tried == MaxTried)
                {
                    return wanted;
                }
            }
        }

        return wanted;
    }

    /// <summary>
    /// Whether a token of that key opens. Null when it was removed or sealed again since it was seen: then it proves nothing.
    /// </summary>
    private async Task<bool?> OpensTokenAsync(InstanceId id, string keyId)
    {
        try
        {
            if ((await instances.FindAsync(id, CancellationToken.None))?.Instance is not { } instance
                || (instance.RefreshToken?.KeyId != keyId && instance.AccessToken?.KeyId != keyId))
            {
                return null;
            }

            return await FindKeyAsync(keyId) is { } key
                && (Opens(TokenField.RefreshToken, instance.RefreshToken, instance.RefreshTokenGeneration ?? instance.Generation)
                    || Opens(TokenField.AccessToken, instance.AccessToken, instance.Generation));

            bool Opens(TokenField field, ProtectedText? text, long generation) =>
                text?.KeyId == key.Id && TokenProtector.Open(key, id, field, generation, text) is not null;
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }

    /// <summary>The key of that id; null when there is none that can be used. While Key Vault fails, which it is cannot be told.</summary>
    private async Task<ProtectionKey?> FindKeyAsync(string id)
    {
        try
        {
            return await keys.FindAsync(id, CancellationToken.None);
        }
        catch (SecretUnusableException)
        {
            return null;
        }
    }

    [LoggerMessage(109, LogLevel.Critical, "The protection keys are not those of the stored tokens. Needed: {Wanted}; present: {Present}. Until the needed keys are back, nothing sealed is written and no install is completed; no stored token is lost.")]
    private partial void Failed(string wanted, string present);

    [LoggerMessage(110, LogLevel.Information, "The protection keys match the stored tokens again: tokens are stored as usual.")]
    private partial void PassedAgain();

    [LoggerMessage(111, LogLevel.Information, "The protection keys could not be checked: {Error}")]
    private partial void NotChecked(string error);

    private sealed record Result(bool IsPassed, long At);
}

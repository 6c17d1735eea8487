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

    // Where there is no row yet: how many stored tokens may fail to open. Tombstones, which have none, do not count.
    private const int MaxTried = 40;

    private readonly Lock _lock = new();
    private volatile Result? _last;
    private Task<bool>? _pending;

    /// <summary>
    /// Whether tokens may be sealed for storage. Completes synchronously once that is known, except that a failed check is
    /// repeated after a minute.
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
        while (!stoppingToken.IsCancellationRequested)
        {
            await Task.Delay(await TryCheckAsync() ? Interval : RetryInterval, time, stoppingToken)
                .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
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
        var (wanted, tried, after) = (new HashSet<string>(StringComparer.Ordinal), 0, (InstanceId?)null);
        do
        {
            var page = await instances.ListAsync(status: null, after, IInstanceStore.MaxPage, CancellationToken.None);
            foreach (var (id, field, generation, text) in page.Instances.SelectMany(TokensOf))
            {
                if (await FindKeyAsync(text.KeyId) is { } key && TokenProtector.Open(key, id, field, generation, text) is not null)
                {
                    return [];
                }

                wanted.Add(text.KeyId);
                if (++tried == MaxTried)
                {
                    return wanted;
                }
            }

            after = page.Last;
        }
        while (after is not null);

        return wanted;
    }

    private static IEnumerable<(InstanceId Id, TokenField Field, long Generation, ProtectedText Text)> TokensOf(Instance instance)
    {
        if (instance.RefreshToken is { } refreshToken)
        {
            yield return (instance.Id, TokenField.RefreshToken, instance.RefreshTokenGeneration ?? instance.Generation, refreshToken);
        }

        if (instance.AccessToken is { } accessToken)
        {
            yield return (instance.Id, TokenField.AccessToken, instance.Generation, accessToken);
        }
    }

    /// <summary>The key with that id; null when there is no usable one.</summary>
    /// <exception cref="SecretUnavailableException">Key Vault fails, so it is unknown whether the key exists.</exception>
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

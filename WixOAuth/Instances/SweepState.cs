namespace WixOAuth.Instances;

/// <summary>The state of the service at the last sweep. Timers and HTTP may run in different processes.</summary>
/// <param name="SweptAt">When that sweep ended.</param>
/// <param name="OnFallback">How many instances are served by client credentials because their refresh token is rejected or unreadable.</param>
/// <param name="Unreadable">How many of those have a refresh token that no protection key opens.</param>
/// <param name="IsSecretSuspect">Whether the app secret is suspect.</param>
/// <param name="IsWixThrottled">Whether Wix throttles the service.</param>
internal sealed record SweepState(DateTimeOffset SweptAt, int OnFallback, int Unreadable, bool IsSecretSuspect, bool IsWixThrottled);

/// <summary>Stores the state of the last sweep. Raises <see cref="StorageUnavailableException"/> as <see cref="IInstanceStore"/> does.</summary>
internal interface ISweepStateStore
{
    /// <summary>Replaces the state.</summary>
    Task SaveSweepStateAsync(SweepState state, CancellationToken cancellationToken);

    /// <summary>The last state; null when no sweep has saved one, or it cannot be read.</summary>
    Task<SweepState?> ReadSweepStateAsync(CancellationToken cancellationToken);
}

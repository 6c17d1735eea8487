namespace WixOAuth.Instances;

/// <summary>
/// The state of the service when the last sweep ended. Timers and HTTP may run in different processes.
/// <paramref name="OnFallback"/> and <paramref name="Unreadable"/> are those of the <see cref="Overview"/>.
/// </summary>
internal sealed record SweepState(DateTimeOffset SweptAt, int OnFallback, int Unreadable, bool IsSecretSuspect, bool IsWixThrottled);

/// <summary>Stores the state of the last sweep. Raises <see cref="StorageUnavailableException"/> as <see cref="IInstanceStore"/> does.</summary>
internal interface ISweepStateStore
{
    Task SaveSweepStateAsync(SweepState state, CancellationToken cancellationToken);

    /// <summary>The last state; null when no sweep has saved one, or it cannot be read.</summary>
    Task<SweepState?> ReadSweepStateAsync(CancellationToken cancellationToken);
}

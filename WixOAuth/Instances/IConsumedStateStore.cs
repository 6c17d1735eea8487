namespace WixOAuth.Instances;

/// <summary>
/// Stores which states and install links were consumed, so that each works once. Raises
/// <see cref="StorageUnavailableException"/> as <see cref="IInstanceStore"/> does.
/// </summary>
internal interface IConsumedStateStore
{
    /// <returns>False when its nonce was recorded before, by anyone.</returns>
    Task<bool> TryAddConsumedStateAsync(ConsumedState consumedState, CancellationToken cancellationToken);

    Task<ConsumedState?> FindConsumedStateAsync(string nonce, DateTimeOffset issuedAt, CancellationToken cancellationToken);

    Task SaveConsumedStateAsync(ConsumedState consumedState, CancellationToken cancellationToken);

    /// <summary>Removes the rows of states that were issued before <paramref name="before"/>, at most <paramref name="limit"/>.</summary>
    /// <returns>How many were removed.</returns>
    Task<int> RemoveConsumedStatesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken);
}

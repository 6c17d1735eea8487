namespace WixOAuth.Instances;

internal enum ConsumedStateOutcome
{
    /// <summary>It has not ended, or its process ended before it recorded the outcome.</summary>
    Pending,

    Connected,
    Rejected,
    WixUnavailable,
    StorageUnavailable,
}

/// <summary>
/// One use of a state at the Redirect URL. It is written before the code is spent, so that a state is good for one
/// use, and so that a page that is loaded again is distinguished from a state that another client replays.
/// </summary>
internal sealed record ConsumedState
{
    /// <summary>The state's nonce, 32 lower-case hexadecimal digits. Useless without the state it came in.</summary>
    public required string Nonce { get; init; }

    public required DateTimeOffset IssuedAt { get; init; }

    /// <summary>The attempt that writes: distinguishes its own insert, whose response was lost, from another's.</summary>
    public required string AttemptId { get; init; }

    /// <summary>The lower-case hexadecimal SHA-256 of the code.</summary>
    public required string CodeFingerprint { get; init; }

    /// <summary>The instance that the redirect named; not confirmed until the outcome is <see cref="ConsumedStateOutcome.Connected"/>.</summary>
    public required InstanceId InstanceId { get; init; }

    public ConsumedStateOutcome Outcome { get; init; }

    /// <summary>The end of life of the access token that the code was exchanged for.</summary>
    public DateTimeOffset? AccessTokenExpiresOn { get; init; }
}

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

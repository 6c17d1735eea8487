namespace WixOAuth.Instances;

/// <summary>The refreshes that one process, known by a random number, has counted so far in the interval that began at <paramref name="From"/>.</summary>
internal sealed record RefreshTally(Guid Process, DateTimeOffset From, int Succeeded, int Failed);

/// <summary>
/// Where processes store their counts, so that each can report the counts of all. Every implementation passes the same
/// conformance tests.
/// </summary>
/// <remarks>
/// Any method raises <see cref="StorageUnavailableException"/> as those of <see cref="IInstanceStore"/> do, and
/// <see cref="OperationCanceledException"/> only for the caller's own token.
/// </remarks>
internal interface IRefreshTallyStore
{
    /// <summary>
    /// Replaces, in one transaction of 1 to 100 tallies, what their processes had stored for those intervals: writing twice
    /// adds nothing. A write that is cancelled may have succeeded.
    /// </summary>
    Task SaveTalliesAsync(IReadOnlyCollection<RefreshTally> tallies, CancellationToken cancellationToken);

    /// <summary>The tallies of all processes for intervals that began at <paramref name="from"/> or later, the oldest first. One that cannot be read is left out.</summary>
    Task<IReadOnlyList<RefreshTally>> ReadTalliesAsync(DateTimeOffset from, CancellationToken cancellationToken);

    /// <summary>Removes tallies of intervals that began before <paramref name="before"/>, at most <paramref name="limit"/>.</summary>
    /// <returns>How many were removed.</returns>
    Task<int> RemoveTalliesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken);
}

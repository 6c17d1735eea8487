namespace WixOAuth.Instances;

/// <summary>The refreshes that one process has counted in one interval so far.</summary>
/// <param name="Process">Which process: a number that no other has.</param>
/// <param name="From">When the interval began.</param>
/// <param name="Succeeded">How many brought a token.</param>
/// <param name="Failed">How many did not.</param>
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
    /// <summary>Replaces, in one transaction, what their processes had stored for those intervals: writing twice adds nothing.</summary>
    /// <param name="tallies">At least one; a hundred at most.</param>
    /// <param name="cancellationToken">Ends the wait; the write may have succeeded anyway.</param>
    Task SaveTalliesAsync(IReadOnlyCollection<RefreshTally> tallies, CancellationToken cancellationToken);

    /// <summary>The tallies of all processes for intervals that began at <paramref name="from"/> or later, the oldest first. One that cannot be read is left out.</summary>
    Task<IReadOnlyList<RefreshTally>> ReadTalliesAsync(DateTimeOffset from, CancellationToken cancellationToken);

    /// <summary>Removes tallies of intervals that began before <paramref name="before"/>, at most <paramref name="limit"/>.</summary>
    /// <returns>How many were removed.</returns>
    Task<int> RemoveTalliesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken);
}

namespace WixOAuth.Instances;

/// <summary>What one process has counted of its refreshes in one stretch of time so far.</summary>
/// <param name="Process">Which process: a number that no other has.</param>
/// <param name="From">When the stretch began.</param>
/// <param name="Succeeded">How many brought a token.</param>
/// <param name="Failed">How many did not.</param>
public sealed record RefreshTally(Guid Process, DateTimeOffset From, int Succeeded, int Failed);

/// <summary>
/// Where processes put down what they count, so that each of them can tell of all. Every implementation passes the same
/// conformance tests.
/// </summary>
/// <remarks>
/// Any method raises <see cref="StorageUnavailableException"/> as those of <see cref="IInstanceStore"/> do, and
/// <see cref="OperationCanceledException"/> only for the caller's own token.
/// </remarks>
public interface IRefreshTallyStore
{
    /// <summary>Replaces, in one transaction, what their processes had put down for those stretches: writing twice adds nothing.</summary>
    /// <param name="tallies">At least one; a hundred at most.</param>
    /// <param name="cancellationToken">Ends the wait; the write may have landed all the same.</param>
    Task SaveTalliesAsync(IReadOnlyCollection<RefreshTally> tallies, CancellationToken cancellationToken);

    /// <summary>The tallies of all processes for stretches that began at <paramref name="from"/> or later, the oldest first. One that cannot be read is left out.</summary>
    Task<IReadOnlyList<RefreshTally>> ReadTalliesAsync(DateTimeOffset from, CancellationToken cancellationToken);

    /// <summary>Removes tallies of stretches that began before <paramref name="before"/>, at most <paramref name="limit"/>.</summary>
    /// <returns>How many were removed.</returns>
    Task<int> RemoveTalliesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken);
}

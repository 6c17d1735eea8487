using System.Collections.Concurrent;

namespace WixOAuth.Crash;

/// <summary>Where a process can be seen from outside, and killed: at each request that it sends, before it is carried out and after.</summary>
internal enum Point
{
    ReadAsked,
    ReadAnswered,
    LeaseAsked,
    LeaseLanded,
    RefreshAsked,
    RefreshSpent,
    RefreshRejected,
    MintAsked,
    Minted,
    CommitAsked,
    CommitLanded,
    FailureAsked,
    FailureLanded,
    LastUseAsked,
    LastUseLanded,
    DueAsked,
    DueAnswered,
}

/// <summary>Stops one process at one point.</summary>
internal sealed class Trap(int node, Point point, Guid? site)
{
    private readonly TaskCompletionSource _sprung = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<bool> _fate = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The process is there, and stays there.</summary>
    public Task Sprung => _sprung.Task;

    public int Node => node;

    public bool Catches(Point passed, Guid? of) => passed == point && (site is null || site == of);

    public Task<bool> SpringAsync()
    {
        _sprung.TrySetResult();
        return _fate.Task;
    }

    /// <summary>What was stopped never happens, or happens after all.</summary>
    public void Open(bool goesOn) => _fate.TrySetResult(goesOn);
}

/// <summary>The traps that are set; one for each process.</summary>
internal sealed class Traps
{
    private readonly ConcurrentDictionary<int, Trap> _set = new();

    public Trap Set(int node, Point point, Guid? site)
    {
        var trap = new Trap(node, point, site);
        _set[node] = trap;
        return trap;
    }

    public void Remove(Trap trap)
    {
        _set.TryRemove(KeyValuePair.Create(trap.Node, trap));
        trap.Open(goesOn: true);
    }

    /// <summary>A process is at a point.</summary>
    /// <returns>False when it was killed there.</returns>
    public Task<bool> PassAsync(int node, Point point, Guid? site) =>
        _set.TryGetValue(node, out var trap) && trap.Catches(point, site) && _set.TryRemove(KeyValuePair.Create(node, trap))
            ? trap.SpringAsync()
            : Task.FromResult(true);
}

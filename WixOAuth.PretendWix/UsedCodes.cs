using System.Collections.Concurrent;

namespace WixOAuth.PretendWix;

/// <summary>The codes that were used and have not expired. An expired code is refused as such, so it need not be remembered.</summary>
internal sealed class UsedCodes(TimeProvider time)
{
    private const int PrunedFrom = 1_000;

    private readonly ConcurrentDictionary<string, long> _codes = new(StringComparer.Ordinal);
    private readonly Lock _pruning = new();

    /// <summary>Records the use of a code; false when it was used before.</summary>
    /// <param name="id">The code's id.</param>
    /// <param name="untilMs">When the code expires, in Unix milliseconds.</param>
    public bool TryAdd(string id, long untilMs) => _codes.TryAdd(id, untilMs);

    public Dictionary<string, long> Living() => _codes.Where(code => code.Value > Now()).ToDictionary();

    public void Prune()
    {
        if (_codes.Count < PrunedFrom || !_pruning.TryEnter())
        {
            return;
        }

        try
        {
            foreach (var (id, _) in _codes.Where(code => code.Value <= Now()))
            {
                _codes.TryRemove(id, out _);
            }
        }
        finally
        {
            _pruning.Exit();
        }
    }

    private long Now() => time.GetUtcNow().ToUnixTimeMilliseconds();
}

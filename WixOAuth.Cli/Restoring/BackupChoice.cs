using System.Globalization;
using WixOAuth.Instances;
using WixOAuth.Maintenance.Backup;

namespace WixOAuth.Cli.Restoring;

/// <summary>The copy that a restore is asked for, and the earlier ones that the latest was compared with, as a person reads them.</summary>
internal sealed record ChosenBackup(string Name, BackupManifest Manifest, string? ComparedWith);

/// <summary>Finds the copy that a restore is asked for.</summary>
internal static class BackupChoice
{
    // A table damaged before that has been noticed. One copy a day makes as many.
    private const int FewestCompared = 7;
    private static readonly TimeSpan s_compared = TimeSpan.FromDays(7);

    // Removed sites are counted for 90 days, so a table loses few in a week, and of a small one two say nothing.
    private const int FewestLost = 3;
    private const int LostOneIn = 10;

    private const int Shown = 5;

    /// <summary>The copy of a name, or for <c>latest</c> the newest, unless an earlier one has far more sites.</summary>
    /// <exception cref="CommandFailedException">There is no copy, or the newest may be one of a damaged table.</exception>
    /// <exception cref="BackupUnusableException">There is no such copy, or its manifest cannot be read.</exception>
    /// <exception cref="StorageUnavailableException">The blob service fails.</exception>
    public static async Task<ChosenBackup> FindAsync(BackupContainer copies, string asked, CancellationToken cancellationToken)
    {
        var names = await copies.ListAsync(cancellationToken);
        if (names.Count == 0)
        {
            throw new CommandFailedException($"There is no finished copy in the container '{copies.Blobs.Name}'.");
        }

        var name = asked == "latest" ? names[^1] : asked;
        BackupManifest manifest;
        try
        {
            manifest = await BackupReader.ReadManifestAsync(copies, name, cancellationToken);
        }
        catch (BackupUnusableException exception)
        {
            throw new BackupUnusableException($"{exception.Message} The newest copies are: {string.Join(", ", names.TakeLast(Shown).Reverse())}.", exception);
        }

        return new ChosenBackup(name, manifest, asked == "latest" ? await CompareAsync(copies, name, manifest, EarlierThanLast(names), cancellationToken) : null);
    }

    private static IEnumerable<string> EarlierThanLast(IReadOnlyList<string> names)
    {
        var since = BackupMonitor.TimeOf(names[^1]) - s_compared;
        return names.Reverse().Skip(1).TakeWhile((name, i) => i < FewestCompared || BackupMonitor.TimeOf(name) >= since);
    }

    // A table that was lost and made anew, or that is only half restored, is copied as any other.
    private static async Task<string?> CompareAsync(
        BackupContainer copies, string name, BackupManifest manifest, IEnumerable<string> earlier, CancellationToken cancellationToken)
    {
        var counts = new List<(string Name, long? Sites)>();
        foreach (var other in earlier)
        {
            counts.Add((other, await TryCountAsync(copies, other, cancellationToken)));
        }

        if (counts.Count == 0)
        {
            return null;
        }

        var list = string.Join(", ", counts.Select(count => count.Sites is { } sites
            ? string.Create(CultureInfo.InvariantCulture, $"{count.Name} ({sites:N0} sites)")
            : $"{count.Name} (cannot be read)"));
        var (most, before) = counts.MaxBy(count => count.Sites);
        return HasLostSites(before ?? 0, manifest.Instances)
            ? throw new CommandFailedException(string.Create(
                CultureInfo.InvariantCulture,
                $"Nothing was written: {name} has far fewer sites than {most}, {manifest.Instances:N0} instead of {before:N0}. The table may have been damaged before it was copied. Name the copy to restore instead of latest. Earlier ones: {list}."))
            : list;
    }

    private static bool HasLostSites(long before, long after) =>
        before > after && (after == 0 || (before - after >= FewestLost && (before - after) * LostOneIn >= before));

    private static async Task<long?> TryCountAsync(BackupContainer copies, string name, CancellationToken cancellationToken)
    {
        try
        {
            return (await BackupReader.ReadManifestAsync(copies, name, cancellationToken)).Instances;
        }
        catch (BackupUnusableException)
        {
            return null;
        }
    }
}

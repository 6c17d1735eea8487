using System.Globalization;
using WixOAuth.Maintenance.Backup;

namespace WixOAuth.Cli.Restoring;

/// <summary>Finds the copy that a restore is asked for.</summary>
internal static class BackupChoice
{
    // With one copy a day this is a week: a table damaged before that has been noticed.
    private const int Compared = 7;

    private const int Shown = 5;

    /// <summary>The copy of a name, or for <c>latest</c> the newest, unless an earlier one has far more sites.</summary>
    /// <exception cref="CommandFailedException">There is no copy, or the newest may be one of a damaged table.</exception>
    /// <exception cref="BackupUnusableException">There is no such copy, or its manifest cannot be read.</exception>
    public static async Task<(string Name, BackupManifest Manifest)> FindAsync(BackupContainer copies, string asked, CancellationToken cancellationToken)
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

        if (asked == "latest")
        {
            await CompareAsync(copies, name, manifest, names.SkipLast(1).TakeLast(Compared), cancellationToken);
        }

        return (name, manifest);
    }

    // A table that was lost and made anew is copied as any other.
    private static async Task CompareAsync(
        BackupContainer copies, string name, BackupManifest manifest, IEnumerable<string> earlier, CancellationToken cancellationToken)
    {
        foreach (var other in earlier.Reverse())
        {
            if (await TryCountAsync(copies, other, cancellationToken) is { } count && manifest.HasFarFewerThan(count))
            {
                throw new CommandFailedException(string.Create(
                    CultureInfo.InvariantCulture,
                    $"Nothing was written: {name} has far fewer sites than {other}, {manifest.Instances:N0} instead of {count:N0}. The table may have been damaged before it was copied. Name the copy to restore instead of latest."));
            }
        }
    }

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

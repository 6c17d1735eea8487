using System.Diagnostics.Metrics;
using WixOAuth.Telemetry;

namespace WixOAuth.Maintenance.Backup;

/// <summary>What is measured of copies of the table.</summary>
internal sealed class BackupMetrics
{
    private readonly Histogram<double> _backups;

    public BackupMetrics(Instruments instruments)
    {
        _backups = instruments.Durations("wixoauth.backup.duration", "Copies of the table.");
    }

    /// <summary>A copy of the table was finished, or failed.</summary>
    public void BackedUp(bool succeeded, TimeSpan took) =>
        _backups.Record(took.TotalSeconds, Tags.OfOutcome(succeeded ? Instruments.Ok : "storage_unavailable"));
}

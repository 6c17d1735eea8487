using Microsoft.Azure.Functions.Worker.Core.FunctionMetadata;
using Microsoft.Extensions.Configuration;
using WixOAuth.Settings;

namespace WixOAuth.Functions;

/// <summary>
/// Keeps functions from the Functions host that these settings do not ask for. To the host they do not exist, so that a
/// trigger without its setting is no error there.
/// </summary>
internal sealed class OptionalFunctions(IConfiguration configuration) : IFunctionMetadataTransformer
{
    public string Name => nameof(OptionalFunctions);

    /// <summary>Drops <c>Backup</c> where no <c>BackupSchedule</c> is given, and <c>RefreshShard</c> where no queue is swept by.</summary>
    public void Transform(IList<IFunctionMetadata> original)
    {
        foreach (var function in original.Where(function => !IsAskedFor(function.Name)).ToList())
        {
            original.Remove(function);
        }
    }

    private bool IsAskedFor(string? function) => function switch
    {
        nameof(Timers.Backup) => Schedules.IsBackupSet(configuration),

        // Its listener would look for a connection.
        nameof(Timers.RefreshShard) => string.Equals(configuration["Tokens:SweepBy"]?.Trim(), nameof(SweepBy.Queue), StringComparison.OrdinalIgnoreCase),
        _ => true,
    };
}

using Microsoft.Azure.Functions.Worker.Core.FunctionMetadata;
using Microsoft.Extensions.Configuration;
using WixOAuth.Settings;

namespace WixOAuth.Functions;

/// <summary>
/// Removes the functions that the settings do not use before the Functions host sees them: a trigger whose setting is
/// missing would be an error there.
/// </summary>
internal sealed class OptionalFunctions(IConfiguration configuration) : IFunctionMetadataTransformer
{
    public string Name => nameof(OptionalFunctions);

    /// <summary>Removes <c>Backup</c> without a <c>BackupSchedule</c>, and <c>RefreshShard</c> unless the sweep uses a queue.</summary>
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

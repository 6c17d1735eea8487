using System.Collections.Immutable;
using Microsoft.Azure.Functions.Worker.Core.FunctionMetadata;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Settings;

namespace WixOAuth.Functions;

/// <summary>
/// Keeps functions from the Functions host that these settings do not ask for. To the host they do not exist, so that a
/// trigger without its setting is no error there.
/// </summary>
internal static class OptionalFunctions
{
    /// <summary>Drops <c>Backup</c> where no <c>BackupSchedule</c> is given, and <c>RefreshShard</c> where no queue is swept by.</summary>
    public static IServiceCollection AddOptionalFunctions(this IServiceCollection services, IConfiguration configuration)
    {
        HashSet<string> dropped = [];
        if (!Schedules.IsSet(configuration, "BackupSchedule"))
        {
            dropped.Add(nameof(Timers.Backup));
        }

        // Its listener would look for a connection.
        if (!string.Equals(configuration["Tokens:SweepBy"]?.Trim(), nameof(SweepBy.Queue), StringComparison.OrdinalIgnoreCase))
        {
            dropped.Add(nameof(Timers.RefreshShard));
        }

        return dropped.Count == 0 ? services : services.Decorate(dropped);
    }

    private static IServiceCollection Decorate(this IServiceCollection services, IReadOnlySet<string> dropped)
    {
        var all = services.Last(service => service.ServiceType == typeof(IFunctionMetadataProvider));
        return services.AddSingleton<IFunctionMetadataProvider>(provider => new Provider(
            (IFunctionMetadataProvider)(all.ImplementationInstance
                ?? all.ImplementationFactory?.Invoke(provider)
                ?? ActivatorUtilities.CreateInstance(provider, all.ImplementationType!)),
            dropped));
    }

    private sealed class Provider(IFunctionMetadataProvider all, IReadOnlySet<string> dropped) : IFunctionMetadataProvider
    {
        public async Task<ImmutableArray<IFunctionMetadata>> GetFunctionMetadataAsync(string directory) =>
            [.. (await all.GetFunctionMetadataAsync(directory)).Where(function => !dropped.Contains(function.Name!))];
    }
}

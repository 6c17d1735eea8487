using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OpenTelemetry;

namespace WixOAuth.Functions;

/// <summary>What both hosts register.</summary>
internal static class HostRegistration
{
    /// <summary>Registers the service and its telemetry export, and checks every setting of theirs.</summary>
    /// <returns>What a host adds its own traces to; null when no export is configured.</returns>
    /// <exception cref="OptionsValidationException">Settings are bad: one failure for each, all of them at once.</exception>
    public static IOpenTelemetryBuilder? AddWixOAuthHost(this IServiceCollection services, IConfiguration configuration)
    {
        var problems = new List<string>();
        IOpenTelemetryBuilder? telemetry = null;
        Collect(problems, () => services.AddWixOAuth(configuration));
        problems.AddRange(Schedules.FindProblems(configuration));
        Collect(problems, () => telemetry = services.AddTelemetryExport(configuration));
        return problems.Count == 0 ? telemetry : throw new OptionsValidationException("WixOAuth", typeof(HostRegistration), problems);
    }

    private static void Collect(List<string> problems, Action register)
    {
        try
        {
            register();
        }
        catch (OptionsValidationException invalid)
        {
            problems.AddRange(invalid.Failures);
        }
    }
}

using Azure.Core;
using Azure.Monitor.OpenTelemetry.Exporter;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OpenTelemetry;
using OpenTelemetry.Resources;
using WixOAuth.Secrets;
using WixOAuth.Telemetry;

namespace WixOAuth.Functions;

/// <summary>
/// Exports logs, traces and metrics, for both hosts: the core knows no exporter.
/// </summary>
internal static class TelemetryExport
{
    private const string Endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
    private const string ConnectionString = "APPLICATIONINSIGHTS_CONNECTION_STRING";

    // The Functions host reads it too, and needs it as we do where the resource takes no keys.
    private const string Authentication = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING";

    /// <summary>
    /// Exports by OTLP where <c>OTEL_EXPORTER_OTLP_ENDPOINT</c> is set (its further settings are those of the
    /// OpenTelemetry specification) and to Azure Monitor where <c>APPLICATIONINSIGHTS_CONNECTION_STRING</c> is: signed in
    /// with the app's identity where <c>APPLICATIONINSIGHTS_AUTHENTICATION_STRING</c> says <c>Authorization=AAD</c>.
    /// </summary>
    /// <returns>What a host adds its own traces to; null where neither is set and nothing is exported.</returns>
    /// <exception cref="OptionsValidationException">A setting is invalid; the message has its name, not its value.</exception>
    public static IOpenTelemetryBuilder? AddTelemetryExport(this IServiceCollection services, IConfiguration configuration)
    {
        var endpoint = Text(configuration, Endpoint);
        var connectionString = Text(configuration, ConnectionString);
        Check(endpoint, connectionString);
        if (endpoint is null && connectionString is null)
        {
            return null;
        }

        // No instrumentation of HTTP: what it would add are URLs, and every call to Wix is traced by its name.
        var telemetry = services.AddOpenTelemetry()
            .ConfigureResource(resource => resource.AddService(Instruments.Name).AddEnvironmentVariableDetector())
            .WithTracing(tracing => tracing.AddSource(Instruments.Name))
            .WithMetrics(metrics => metrics.AddMeter(Instruments.Name))
            .WithLogging(configureBuilder: null, logs => logs.IncludeFormattedMessage = true);
        if (endpoint is not null)
        {
            telemetry.UseOtlpExporter();
        }

        if (connectionString is not null)
        {
            telemetry.UseAzureMonitorExporter(options =>
            {
                options.ConnectionString = connectionString;

                // Alerts count log lines; those of a trace that is sampled out count too.
                options.EnableTraceBasedLogsSampler = false;
            });
            if (Text(configuration, Authentication)?.Contains("Authorization=AAD", StringComparison.OrdinalIgnoreCase) == true)
            {
                services.AddAzureIdentity();
                services.AddOptions<AzureMonitorExporterOptions>().Configure<TokenCredential>((exporter, credential) => exporter.Credential = credential);
            }
        }

        return telemetry;
    }

    // The exporters would fall back to a collector on this machine, or throw with the value in the message.
    private static void Check(string? endpoint, string? connectionString)
    {
        var problems = new List<string>();
        if (endpoint is not null && !(Uri.TryCreate(endpoint, UriKind.Absolute, out var url) && url.Scheme is "http" or "https"))
        {
            problems.Add($"{Endpoint} should be the http or https URL of an OpenTelemetry collector.");
        }

        if (connectionString?.Contains("InstrumentationKey=", StringComparison.OrdinalIgnoreCase) == false)
        {
            problems.Add($"{ConnectionString} should be the connection string of an Application Insights resource: InstrumentationKey=…;IngestionEndpoint=…");
        }

        if (problems.Count > 0)
        {
            throw new OptionsValidationException("Telemetry", typeof(TelemetryExport), problems);
        }
    }

    private static string? Text(IConfiguration configuration, string name) => configuration[name]?.Trim() is { Length: > 0 } text ? text : null;
}

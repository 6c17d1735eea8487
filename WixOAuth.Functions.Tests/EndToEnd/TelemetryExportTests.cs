using System.Text.Json;
using Azure.Core;
using Azure.Monitor.OpenTelemetry.Exporter;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Moq;
using WixOAuth.Functions.Tests.Support;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>What leaves the program as telemetry in a life with every kind of trouble: all that is wanted, and no secret.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class TelemetryExportTests(AzuriteFixture azurite)
{
    /// <summary>What the alerts and the workbook ask for, and such a life measures.</summary>
    private static readonly string[] s_metrics =
    [
        "wixoauth.token.requests", "wixoauth.refresh.duration", "wixoauth.sweep.duration", "wixoauth.sweep.due_lag", "wixoauth.app_secret.suspect",
        "wixoauth.wix.call.duration", "wixoauth.redirect.duration", "wixoauth.webhook.duration",
    ];

    private static readonly string[] s_traces = ["GetToken", "Refresh", "Wix refresh", "Wix exchange", "Redirect", "Sweep", "Webhook"];

    private static readonly string[] s_logs = ["refreshed to generation", "no token from Wix", "Sweep: ", "A webhook was refused", "ended: "];

    static TelemetryExportTests()
    {
        // The exporter tells its maker how it fares; not from a test.
        Environment.SetEnvironmentVariable("APPLICATIONINSIGHTS_STATSBEAT_DISABLED", "true");
        Environment.SetEnvironmentVariable("APPLICATIONINSIGHTS_SDKSTATS_DISABLED_ALL", "true");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task By_OTLP_all_is_sent_and_no_secret(bool everythingAtTrace)
    {
        await using var receiver = await TelemetryReceiver.StartAsync();
        (string, string)[] settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.Url), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")];

        // No record is dropped, however long the exporter has to wait for its turn.
        settings = [.. settings, ("OTEL_BLRP_MAX_QUEUE_SIZE", "200000"), ("OTEL_BSP_MAX_QUEUE_SIZE", "200000")];
        (string, string)[] levels =
        [
            ("Logging__OpenTelemetry__LogLevel__Default", "Trace"),
            ("Logging__OpenTelemetry__LogLevel__Microsoft.AspNetCore.Hosting.Diagnostics", "Trace"),
        ];

        var (id, secrets) = await LiveAsync(overrides: null, [.. settings, .. everythingAtTrace ? levels : []]);

        Assert.Equal(["/v1/logs", "/v1/metrics", "/v1/traces"], receiver.Paths.Order(StringComparer.Ordinal));
        var (logs, metrics, traces) = (receiver.Of("/v1/logs"), receiver.Of("/v1/metrics"), receiver.Of("/v1/traces"));
        Assert.All(s_logs, log => Assert.Contains(log, logs, StringComparison.Ordinal));
        Assert.All(s_metrics, metric => Assert.Contains(metric, metrics, StringComparison.Ordinal));
        Assert.All(s_traces, trace => Assert.Contains(trace, traces, StringComparison.Ordinal));
        Assert.Contains(id.ToString(), logs, StringComparison.Ordinal);
        Assert.Contains(id.ToString(), traces, StringComparison.Ordinal);
        Assert.DoesNotContain(id.ToString(), metrics, StringComparison.Ordinal);
        Assert.Contains("GET /api/instances/{instanceId}/token", traces, StringComparison.Ordinal);
        Assert.DoesNotContain("url.query", traces, StringComparison.Ordinal);
        TroubledLife.AssertNothingToldIn($"{logs}\n{metrics}\n{traces}", secrets);
    }

    [Fact]
    public async Task To_Azure_Monitor_all_is_sent_and_no_secret()
    {
        await using var receiver = await TelemetryReceiver.StartAsync();
        var connectionString =
            $"InstrumentationKey=00000000-0000-4000-8000-000000000001;IngestionEndpoint={receiver.Url}/;LiveEndpoint={receiver.Url}/";

        // Five traces a second would be sent otherwise, whichever.
        var (id, secrets) = await LiveAsync(
            services => services.Configure<AzureMonitorExporterOptions>(options => (options.TracesPerSecond, options.SamplingRatio) = (null, 1)),
            ("APPLICATIONINSIGHTS_CONNECTION_STRING", connectionString));

        var sent = receiver.Of("/v2.1/track");
        Assert.All(s_logs.Concat(s_metrics).Concat(s_traces), text => Assert.Contains(text, sent, StringComparison.Ordinal));
        Assert.Contains(id.ToString(), sent, StringComparison.Ordinal);
        TroubledLife.AssertNothingToldIn(string.Join('\n', receiver.Paths.Select(receiver.Of)), secrets);
    }

    [Fact]
    public async Task A_bad_setting_is_named_and_not_quoted()
    {
        var exception = await Assert.ThrowsAsync<OptionsValidationException>(() => TestBed.StartAsync(
            azurite, null, ("OTEL_EXPORTER_OTLP_ENDPOINT", "not-a-url"), ("APPLICATIONINSIGHTS_CONNECTION_STRING", "not-a-connection-string")));

        Assert.Equal(
            ["OTEL_EXPORTER_OTLP_ENDPOINT", "APPLICATIONINSIGHTS_CONNECTION_STRING"], exception.Failures.Select(failure => failure.Split(' ')[0]));
        Assert.DoesNotContain("not-a", exception.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ClientId=11111111-2222-4333-8444-555555555555;Authorization=AAD", true)]
    [InlineData("", false)]
    public void The_identity_signs_in_where_the_resource_takes_no_key(string authentication, bool signsIn)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["APPLICATIONINSIGHTS_CONNECTION_STRING"] = "InstrumentationKey=00000000-0000-4000-8000-000000000001",
            ["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"] = authentication,
        }).Build();
        var identity = new Mock<TokenCredential>().Object;
        var services = new ServiceCollection().AddSingleton(identity);
        services.AddTelemetryExport(configuration);
        using var provider = services.BuildServiceProvider();

        Assert.Same(signsIn ? identity : null, provider.GetRequiredService<IOptions<AzureMonitorExporterOptions>>().Value.Credential);
    }

    [Fact]
    public void Nothing_is_exported_where_no_setting_says_whereto()
    {
        var services = new ServiceCollection();

        Assert.Null(services.AddTelemetryExport(new ConfigurationBuilder().Build()));
        Assert.Empty(services);
    }

    [Fact]
    public void The_Functions_host_speaks_OpenTelemetry_and_does_not_log_whole_URLs()
    {
        using var host = JsonDocument.Parse(File.ReadAllText(Path.Combine(Repository.Root, "host.json")));
        var levels = host.RootElement.GetProperty("logging").GetProperty("logLevel");

        Assert.Equal("OpenTelemetry", host.RootElement.GetProperty("telemetryMode").GetString());
        Assert.All(["Microsoft", "Microsoft.AspNetCore", "System.Net.Http", "Azure", "Yarp"], name => Assert.Equal("Warning", levels.GetProperty(name).GetString()));
    }

    private async Task<(Guid InstanceId, IReadOnlyList<string> Secrets)> LiveAsync(Action<IServiceCollection>? overrides, params (string, string)[] settings)
    {
        await using var bed = await TestBed.StartWithWebhooksAsync(azurite, overrides, settings);
        return await TroubledLife.LiveAsync(bed);
    }
}

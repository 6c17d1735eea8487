using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using WixOAuth.Install;
using WixOAuth.Lifecycle;
using WixOAuth.Secrets;

namespace WixOAuth.Http;

/// <summary>
/// Resolves the endpoints and reads the secrets while the program starts, so that the first requests do not wait for them.
/// Wix gives up a webhook after 1,250 ms (wix-protocol §10), and Key Vault's first response alone may take as long. What
/// fails here is tried again when it is needed.
/// </summary>
internal sealed partial class WarmUp(IServiceProvider services, ILogger<WarmUp> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            // Resolved here: as constructor parameters they would delay the start of the program.
            var reading = services.GetRequiredService<ISecretSource<AppSecretVersion>>().GetAsync(stoppingToken).AsTask();
            var issuing = services.GetRequiredService<InstallStateService>().IssueAsync(link: null, stoppingToken);
            services.GetRequiredService<InstallEndpoints>();
            services.GetRequiredService<TokenEndpoints>();
            services.GetRequiredService<WebhookEndpoint>();
            var checking = services.GetRequiredService<ISecretSource<WebhookKeys>>().GetAsync(stoppingToken).AsTask();
            await Task.WhenAll(reading, issuing, checking);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The program stops.
        }
        catch (Exception exception)
        {
            NotWarm(exception.GetType().Name);
        }
    }

    [LoggerMessage(504, LogLevel.Warning, "The warm-up failed ({Error}): the first requests will take longer")]
    private partial void NotWarm(string error);
}

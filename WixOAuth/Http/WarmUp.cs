using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using WixOAuth.Install;
using WixOAuth.Lifecycle;
using WixOAuth.Secrets;

namespace WixOAuth.Http;

/// <summary>
/// Does beside the start what the first requests would wait for: puts the endpoints together and reads the secrets.
/// Wix gives a webhook up after 1,250 ms (wix-protocol §10), and Key Vault's first answer alone may take as long. What
/// fails here is tried again by whoever needs it.
/// </summary>
internal sealed partial class WarmUp(IServiceProvider services, ILogger<WarmUp> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            // Asked for here: as parameters they would be put together by the thread that starts the program.
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

    [LoggerMessage(504, LogLevel.Warning, "The first requests will take longer: {Error}")]
    private partial void NotWarm(string error);
}

using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Secrets;
using WixOAuth.Settings;

namespace WixOAuth.Events;

internal static class EventRegistration
{
    private const string Http = "Events";

    /// <summary>Registers events where <c>Events__Url</c> is set; otherwise no event is recorded and none is sent.</summary>
    public static IServiceCollection AddEvents(this IServiceCollection services, ServiceSettings settings)
    {
        services.AddSingleton<EventMetrics>();
        services.AddSingleton<ParkedEvents>();
        services.AddSingleton<EventOverview>();
        if (settings.Events.Url is null)
        {
            return services;
        }

        services.AddSingleton<EventRecorder>();
        services.AddSecret(
            settings.Events.Secret,
            provider => provider.GetRequiredService<VaultReader>().SourceOf(settings.Events.SecretName, EventSecrets.Parse));
        services.AddHttpClient(Http)
            .ConfigurePrimaryHttpMessageHandler(() => new SocketsHttpHandler
            {
                AllowAutoRedirect = false,
                UseCookies = false,
                PooledConnectionLifetime = TimeSpan.FromMinutes(5),
                ActivityHeadersPropagator = null,
            })
            .SetHandlerLifetime(Timeout.InfiniteTimeSpan)
            .ConfigureHttpClient(client =>
            {
                // The sender bounds each attempt itself, by the clock that tests own.
                client.Timeout = Timeout.InfiniteTimeSpan;
                client.DefaultRequestHeaders.UserAgent.ParseAdd("WixOAuth");
            })
            .RemoveAllLoggers();
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<EventSender>(
            provider, provider.GetRequiredService<IHttpClientFactory>().CreateClient(Http)));
        services.AddSingleton<EventDelivery>();
        services.AddHostedService(provider => provider.GetRequiredService<EventDelivery>());
        return services;
    }
}

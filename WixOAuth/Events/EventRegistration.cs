using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Hosting;
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
        services.AddOutgoingHttp(Http, connectionLifetime: TimeSpan.FromMinutes(5), connectTimeout: EventSender.Timeout);
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<EventSender>(
            provider, provider.GetRequiredService<IHttpClientFactory>().CreateClient(Http)));
        services.AddSingleton<EventDelivery>();
        services.AddHostedService(provider => provider.GetRequiredService<EventDelivery>());
        return services;
    }
}

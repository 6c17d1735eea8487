using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Http;
using Microsoft.Extensions.Options;
using WixOAuth.Client;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers the client of a WixOAuth service.</summary>
public static class WixOAuthClientServiceCollectionExtensions
{
    /// <summary>
    /// Adds <see cref="IWixTokenClient"/> as a singleton with one cache for the process. A second call adds no second client: it
    /// changes the options of the first.
    /// </summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">Sets the service's address and key; validated when the host starts.</param>
    /// <returns>The builder of the HTTP client that calls the service, for a proxy or a handler of your own.</returns>
    public static IHttpClientBuilder AddWixOAuthClient(this IServiceCollection services, Action<WixOAuthClientOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(configure);
        services.AddOptions<WixOAuthClientOptions>().Configure(configure).ValidateOnStart();
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<WixOAuthClientOptions>, WixOAuthClientOptionsValidator>());
        services.AddLogging();
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<TokenEndpoint>();
        services.TryAddSingleton<IWixTokenClient, WixTokenClient>();
        services.PostConfigure<HttpClientFactoryOptions>(
            TokenEndpoint.HttpClientName, options => options.HttpMessageHandlerBuilderActions.Add(static builder => RefuseRedirects(builder.PrimaryHandler)));
        return services
            .AddHttpClient(TokenEndpoint.HttpClientName, client =>
            {
                // TokenEndpoint has a timeout of its own, which a test's clock drives.
                client.Timeout = Timeout.InfiniteTimeSpan;
                client.MaxResponseContentBufferSize = 64 * 1024;
            })
            .ConfigurePrimaryHttpMessageHandler(() => new SocketsHttpHandler
            {
                PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            })
            .RedactLoggedHeaders(static _ => true);
    }

    // A redirect would take the key along, also where the application brings a handler of its own. One that it uses again has
    // begun to send and takes no changes.
    private static void RefuseRedirects(HttpMessageHandler handler)
    {
        switch (handler)
        {
            case SocketsHttpHandler { AllowAutoRedirect: true } sockets:
                sockets.AllowAutoRedirect = false;
                break;
            case HttpClientHandler { AllowAutoRedirect: true } http:
                http.AllowAutoRedirect = false;
                break;
            case DelegatingHandler { InnerHandler: { } inner }:
                RefuseRedirects(inner);
                break;
        }
    }

    /// <summary>
    /// Sends each request of this HTTP client with the access token of the instance that
    /// <see cref="WixRequestExtensions.SetWixInstance"/> names. When Wix answers 401 the token is reported and the request
    /// is sent once more with its replacement; content over 1 MiB, or a stream of unknown length, is not sent again, and a 401
    /// from another origin, to which a redirect led, is returned as it is.
    /// </summary>
    /// <param name="builder">An HTTP client for Wix's API.</param>
    public static IHttpClientBuilder AddWixAuthorization(this IHttpClientBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);
        builder.Services.PostConfigure<HttpClientFactoryOptions>(builder.Name, options =>
        {
            var before = options.ShouldRedactHeaderValue;
            options.ShouldRedactHeaderValue = header => header.Equals("Authorization", StringComparison.OrdinalIgnoreCase) || before(header);
        });
        return builder.AddHttpMessageHandler(static services => new WixAuthorizationHandler(services.GetRequiredService<IWixTokenClient>()));
    }
}

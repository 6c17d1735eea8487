using System.Net;
using Microsoft.Extensions.DependencyInjection;

namespace WixOAuth.Hosting;

internal static class OutgoingHttp
{
    /// <summary>
    /// Registers an HTTP client that follows no redirect, keeps no cookie, and has no timeout of its own: callers limit each
    /// attempt with the <see cref="TimeProvider"/>, which tests replace.
    /// </summary>
    public static void AddOutgoingHttp(this IServiceCollection services, string name, TimeSpan connectionLifetime, TimeSpan connectTimeout) => services
        .AddHttpClient(name)
        .ConfigurePrimaryHttpMessageHandler(() => new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            AutomaticDecompression = DecompressionMethods.All,
            UseCookies = false,
            PooledConnectionLifetime = connectionLifetime,
            ConnectTimeout = connectTimeout,
            ActivityHeadersPropagator = null,
        })
        .SetHandlerLifetime(Timeout.InfiniteTimeSpan)
        .ConfigureHttpClient(Configure)
        .RemoveAllLoggers();

    internal static void Configure(HttpClient client)
    {
        client.Timeout = Timeout.InfiniteTimeSpan;
        client.MaxResponseContentBufferSize = 256 * 1024;
        client.DefaultRequestHeaders.UserAgent.ParseAdd("WixOAuth");
    }
}

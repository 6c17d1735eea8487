using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Data.Tables;
using WixOAuth.Hosting;
using WixOAuth.Settings;

namespace WixOAuth.Storage;

/// <summary>Makes the client of the table that the settings name.</summary>
internal static class TableConnection
{
    private const int MaxRetries = 3;

    private static readonly TimeSpan s_longestPause = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Reaches the table by its URL and the app's identity, or by a connection string. No request is sent yet.
    /// </summary>
    /// <param name="options">Where the table is.</param>
    /// <param name="credential">The app's identity; needed with <see cref="TablesOptions.ServiceUri"/> only.</param>
    /// <param name="transport">What sends the requests; the SDK's own if none is given.</param>
    /// <param name="pause">The first wait between two attempts, for tests.</param>
    /// <exception cref="ArgumentException">The options name no table service, or one that needs a credential and there is none.</exception>
    /// <remarks>
    /// A call takes 5 seconds at most for each of 4 attempts, with waits of 0.2 to 2 seconds between them. A service that
    /// asks for a longer pause (<c>Retry-After</c>) is unavailable now: our own callers do not wait so long. The SDK logs
    /// the URLs of its requests, and these hold the keys of rows: instance ids and nonces, which are no secrets.
    /// </remarks>
    public static TableClient Open(TablesOptions options, TokenCredential? credential, HttpPipelineTransport? transport = null, TimeSpan? pause = null)
    {
        var clientOptions = new TableClientOptions
        {
            Retry = { NetworkTimeout = TimeSpan.FromSeconds(5) },
            RetryPolicy = new BoundedRetryPolicy(
                MaxRetries, DelayStrategy.CreateExponentialDelayStrategy(pause ?? TimeSpan.FromMilliseconds(200), s_longestPause), s_longestPause),
            Diagnostics = { IsLoggingContentEnabled = false },
        };
        StorageAnswerPolicy.AddTo(clientOptions);
        clientOptions.AddPolicy(new TransactionRetryPolicy(MaxRetries), HttpPipelinePosition.PerRetry);
        if (transport is not null)
        {
            clientOptions.Transport = transport;
        }

        return (options, credential) switch
        {
            ({ ConnectionString: { } text }, _) => new TableClient(text.Reveal(), options.Name, clientOptions),
            ({ ServiceUri: { } uri }, not null) => new TableClient(uri, options.Name, credential, clientOptions),
            ({ ServiceUri: not null }, null) => throw new ArgumentException("A table service that is named by its URL needs a credential.", nameof(credential)),
            _ => throw new ArgumentException("The settings name no table service.", nameof(options)),
        };
    }
}

using Azure.Core;
using Azure.Core.Pipeline;
using WixOAuth.Hosting;
using WixOAuth.Settings;

namespace WixOAuth.Storage;

/// <summary>Opens the clients of tables, blobs and queues. No request is sent yet.</summary>
internal static class StorageClients
{
    /// <summary>
    /// Limits the attempts of a call and the pauses between them. A service that asks for a longer pause
    /// (<c>Retry-After</c>) is unavailable: callers do not wait that long. The SDK logs the URLs of its requests, and these
    /// hold the keys of rows: instance ids and nonces, which are no secrets.
    /// </summary>
    public static T Configure<T>(
        T options, int maxRetries, TimeSpan longestAttempt, TimeSpan firstPause, TimeSpan longestPause, HttpPipelineTransport? transport)
        where T : ClientOptions
    {
        options.Retry.NetworkTimeout = longestAttempt;
        options.RetryPolicy = new BoundedRetryPolicy(maxRetries, DelayStrategy.CreateExponentialDelayStrategy(firstPause, longestPause), longestPause);
        options.Diagnostics.IsLoggingContentEnabled = false;

        // Next to the transport: before the body is read.
        options.AddPolicy(new StorageAnswerPolicy(), HttpPipelinePosition.BeforeTransport);
        if (transport is not null)
        {
            options.Transport = transport;
        }

        return options;
    }

    /// <exception cref="ArgumentException">The options name no service, or one by its URL and there is no credential.</exception>
    public static T Open<T>(StorageOptions options, TokenCredential? credential, Func<string, T> byKey, Func<Uri, TokenCredential, T> byIdentity) =>
        (options, credential) switch
        {
            ({ ConnectionString: { } text }, _) => byKey(text.Reveal()),
            ({ ServiceUri: { } uri }, not null) => byIdentity(uri, credential),
            _ => throw new ArgumentException("The settings name no storage service, or its URL without a credential.", nameof(options)),
        };
}

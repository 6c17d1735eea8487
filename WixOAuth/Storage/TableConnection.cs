using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Data.Tables;
using WixOAuth.Settings;

namespace WixOAuth.Storage;

internal static class TableConnection
{
    private const int MaxRetries = 3;

    /// <summary>
    /// The table that the settings name. A call takes 5 seconds at most for each of 4 attempts, with waits of 0.2 to 2 seconds
    /// between them; <paramref name="pause"/> replaces the first wait in tests.
    /// </summary>
    /// <exception cref="ArgumentException">The options name no table service, or one by its URL and there is no credential.</exception>
    public static TableClient Open(TablesOptions options, TokenCredential? credential, HttpPipelineTransport? transport = null, TimeSpan? pause = null)
    {
        var client = StorageClients.Configure(
            new TableClientOptions(), MaxRetries, TimeSpan.FromSeconds(5), pause ?? TimeSpan.FromMilliseconds(200), TimeSpan.FromSeconds(2), transport);
        client.AddPolicy(new TransactionRetryPolicy(MaxRetries), HttpPipelinePosition.PerRetry);
        return StorageClients.Open(
            options, credential, text => new TableClient(text, options.Name, client), (uri, identity) => new TableClient(uri, options.Name, identity, client));
    }
}

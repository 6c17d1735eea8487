using Azure;
using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Identity;
using Azure.Security.KeyVault.Secrets;

namespace WixOAuth.Secrets;

/// <summary>Reads secrets from one Key Vault, with bounded patience.</summary>
/// <param name="client">The vault's client; see <see cref="CreateClient"/>.</param>
/// <param name="time">The clock.</param>
internal sealed class VaultReader(SecretClient client, TimeProvider time)
{
    /// <summary>How long one reading may take, signing in and retries included.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    /// <summary>The client of a vault. Signs in only when it is first used.</summary>
    public static SecretClient CreateClient(Uri vault, TokenCredential credential) => new(vault, credential, ClientOptions());

    /// <summary>Two retries, five seconds for each try, and no bodies in the SDK's logs.</summary>
    internal static SecretClientOptions ClientOptions()
    {
        var options = new SecretClientOptions
        {
            RetryPolicy = new ObedientRetryPolicy(
                DelayStrategy.CreateExponentialDelayStrategy(TimeSpan.FromMilliseconds(200), TimeSpan.FromSeconds(1))),
        };
        options.Retry.NetworkTimeout = TimeSpan.FromSeconds(5);
        options.Diagnostics.IsLoggingContentEnabled = false;
        return options;
    }

    /// <summary>
    /// Reads one version of a secret, or the newest where none is named. Null when there is no such secret or version.
    /// Takes no token: those who wait for it share it, so none of them may end it.
    /// </summary>
    /// <exception cref="SecretUnavailableException">Key Vault cannot be reached, or refused; names the secret and the HTTP status.</exception>
    public async Task<KeyVaultSecret?> ReadAsync(string name, string? version)
    {
        using var limit = new CancellationTokenSource(Patience, time);
        try
        {
            return await client.GetSecretAsync(name, version, cancellationToken: limit.Token);
        }
        catch (RequestFailedException exception) when (exception.Status == 404)
        {
            return null;
        }
        catch (Exception exception)
        {
            var which = version is null ? $"'{name}'" : $"'{name}', version {version},";
            throw new SecretUnavailableException($"The secret {which} could not be read from Key Vault: {Reason(exception)}.", exception);
        }
    }

    private static string Reason(Exception exception) => exception switch
    {
        RequestFailedException { Status: not 0 } answer => $"it answered HTTP {answer.Status} {answer.ErrorCode}".TrimEnd(),
        AuthenticationFailedException => "no access token for it was to be had",
        OperationCanceledException => "it did not answer in time",
        AggregateException { InnerExceptions: [.., var last] } => Reason(last),
        _ => $"it could not be reached ({exception.GetType().Name})",
    };

    /// <summary>
    /// Does not wait for a <c>Retry-After</c> as the SDK's own policy would, for as long as it says: meanwhile the
    /// known version serves, and <see cref="VaultSecret{T}"/> asks again later.
    /// </summary>
    internal sealed class ObedientRetryPolicy(DelayStrategy delay) : RetryPolicy(maxRetries: 2, delay)
    {
        protected override bool ShouldRetry(HttpMessage message, Exception? exception) =>
            !IsToldToWait(message) && base.ShouldRetry(message, exception);

        protected override async ValueTask<bool> ShouldRetryAsync(HttpMessage message, Exception? exception) =>
            !IsToldToWait(message) && await base.ShouldRetryAsync(message, exception);

        private static bool IsToldToWait(HttpMessage message) =>
            message.HasResponse && message.Response.Headers.Contains("Retry-After");
    }
}

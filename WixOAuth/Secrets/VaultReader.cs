using Azure;
using Azure.Core;
using Azure.Identity;
using Azure.Security.KeyVault.Secrets;
using Microsoft.Extensions.Logging;
using WixOAuth.Hosting;

namespace WixOAuth.Secrets;

/// <summary>Reads secrets from one Key Vault. Each call takes <see cref="Patience"/> at most.</summary>
internal sealed class VaultReader(SecretClient client, TimeProvider time, ILogger<VaultReader> logger)
{
    /// <summary>How long one call may take, sign-in and retries included.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    /// <summary>Two retries, five seconds for each try, and no bodies in the SDK's logs.</summary>
    internal static SecretClientOptions ClientOptions()
    {
        var options = new SecretClientOptions
        {
            RetryPolicy = RetryPolicyWith(DelayStrategy.CreateExponentialDelayStrategy(TimeSpan.FromMilliseconds(200), TimeSpan.FromSeconds(1))),
        };
        options.Retry.NetworkTimeout = TimeSpan.FromSeconds(5);
        options.Diagnostics.IsLoggingContentEnabled = false;
        return options;
    }

    /// <summary>Waits for no <c>Retry-After</c>: meanwhile the known version is used, and <see cref="KeyVaultSource{T}"/> asks again later.</summary>
    internal static BoundedRetryPolicy RetryPolicyWith(DelayStrategy delay) => new(maxRetries: 2, delay, longestPause: TimeSpan.Zero);

    /// <summary>
    /// A source of the newest version of one secret. <paramref name="whenMissing"/> is the value where there is no such secret;
    /// null where that is a failure.
    /// </summary>
    public ISecretSource<T> SourceOf<T>(string name, Func<KeyVaultSecret, T> parse, T? whenMissing = null)
        where T : class => SourceOf(name, async () => await ReadAsync(name, version: null) is { } secret
            ? (parse(secret), secret.Properties.Version, null)
            : (whenMissing ?? throw new SecretUnavailableException($"There is no secret '{name}' in Key Vault: it answered HTTP 404."), (string?)null, (SecretUnavailableException?)null));

    /// <summary>A source that reads as <paramref name="read"/> says; see <see cref="KeyVaultSource{T}"/>.</summary>
    public ISecretSource<T> SourceOf<T>(string name, Func<Task<(T Value, string? Version, SecretUnavailableException? Problem)>> read)
        where T : class => new KeyVaultSource<T>(name, read, time, logger);

    /// <summary>
    /// Reads one version of a secret, or the newest where none is named; null when there is no such secret or version.
    /// Takes no cancellation token, because its callers share the result.
    /// </summary>
    /// <exception cref="SecretUnavailableException">Key Vault cannot be reached, or refuses; names the secret and the HTTP status.</exception>
    public async Task<KeyVaultSecret?> ReadAsync(string name, string? version)
    {
        try
        {
            return await AskAsync(
                version is null ? $"'{name}'" : $"'{name}', version {version},",
                async token => (await client.GetSecretAsync(name, version, cancellationToken: token)).Value);
        }
        catch (SecretUnavailableException exception) when (IsMissing(exception))
        {
            return null;
        }
    }

    /// <summary>Lists the versions of a secret, without their values; empty when there is no such secret.</summary>
    /// <exception cref="SecretUnavailableException">As for <see cref="ReadAsync"/>.</exception>
    public async Task<IReadOnlyList<SecretProperties>> ListVersionsAsync(string name)
    {
        try
        {
            return await AskAsync($"'{name}'", async token => await client.GetPropertiesOfSecretVersionsAsync(name, token).ToListAsync(token));
        }
        catch (SecretUnavailableException exception) when (IsMissing(exception))
        {
            return [];
        }
    }

    private async Task<T> AskAsync<T>(string which, Func<CancellationToken, Task<T>> ask)
    {
        using var limit = new CancellationTokenSource(Patience, time);
        try
        {
            return await ask(limit.Token);
        }
        catch (Exception exception)
        {
            throw new SecretUnavailableException($"The secret {which} could not be read from Key Vault: {Reason(exception)}.", exception);
        }
    }

    // Key Vault's own 404 has an error code; one without was sent by something in between, such as a proxy.
    private static bool IsMissing(SecretUnavailableException exception) => exception.InnerException is RequestFailedException { Status: 404, ErrorCode: not null };

    private static string Reason(Exception exception) => exception switch
    {
        RequestFailedException { Status: not 0 } answer => $"it answered HTTP {answer.Status} {answer.ErrorCode}".TrimEnd(),
        AuthenticationFailedException => "no access token for it could be obtained",
        OperationCanceledException => "it did not answer in time",
        AggregateException { InnerExceptions: [.., var last] } => Reason(last),
        _ => $"it could not be reached ({exception.GetType().Name})",
    };
}

using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Options;

namespace WixOAuth.Client;

/// <summary>The service's <c>GetToken</c> over HTTP: one request, and its answer as a value or an exception.</summary>
internal sealed class TokenEndpoint(IHttpClientFactory clients, IOptions<WixOAuthClientOptions> options, TimeProvider time)
{
    /// <summary>The name of the <see cref="HttpClient"/> that calls the service.</summary>
    public const string HttpClientName = "WixOAuth.Client";

    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(15);

    /// <summary>Asks for a token.</summary>
    /// <param name="instanceId">The instance.</param>
    /// <param name="rejected">A token that Wix refused.</param>
    /// <param name="minTtl">How many seconds the token has to live at least, 240 at most; the service's default where it is null.</param>
    /// <param name="cancellationToken">Ends the request.</param>
    /// <exception cref="WixOAuthException">No token came.</exception>
    public async Task<TokenBody> GetAsync(Guid instanceId, string? rejected, int? minTtl, CancellationToken cancellationToken)
    {
        var settings = options.Value;
        using var timeout = new CancellationTokenSource(s_timeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            using var request = await RequestAsync(settings, instanceId, rejected, minTtl, either.Token).ConfigureAwait(false);
            using var client = clients.CreateClient(HttpClientName);
            using var response = await client.SendAsync(request, either.Token).ConfigureAwait(false);
            return response.StatusCode == HttpStatusCode.OK
                ? await ReadAsync(response, TokenJson.Default.TokenBody, either.Token).ConfigureAwait(false) is { AccessToken.Length: > 0 } body
                    ? body
                    : throw new WixOAuthUnavailableException("The WixOAuth service's answer is not a token.", status: response.StatusCode)
                : throw await FailureAsync(response, either.Token).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is not WixOAuthException
            && !(exception is OperationCanceledException && cancellationToken.IsCancellationRequested))
        {
            // Any failure, also one of the application's own handlers: a living token is still good.
            throw new WixOAuthUnavailableException("The WixOAuth service cannot be reached.", innerException: exception);
        }
    }

    private static async Task<HttpRequestMessage> RequestAsync(
        WixOAuthClientOptions settings, Guid instanceId, string? rejected, int? minTtl, CancellationToken cancellationToken)
    {
        var entraToken = settings.GetEntraToken is { } get ? await EntraTokenAsync(get, cancellationToken).ConfigureAwait(false) : null;
        var query = rejected is not null
            ? $"?rejected={Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(rejected)))}"
            : minTtl is { } seconds ? string.Create(CultureInfo.InvariantCulture, $"?min_ttl={seconds}") : "";
        var request = new HttpRequestMessage(HttpMethod.Get, new Uri(settings.ApiUrl, $"instances/{instanceId}/token{query}"));
        if (!string.IsNullOrEmpty(settings.Key))
        {
            request.Headers.TryAddWithoutValidation("x-functions-key", settings.Key);
        }

        if (entraToken is not null)
        {
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", entraToken);
        }

        return request;
    }

    private static async Task<string> EntraTokenAsync(Func<CancellationToken, ValueTask<string>> get, CancellationToken cancellationToken)
    {
        try
        {
            return await get(cancellationToken).AsTask().WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            throw new WixOAuthUnavailableException("The Entra token for the WixOAuth service could not be obtained.", innerException: exception);
        }
    }

    private async Task<WixOAuthException> FailureAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var status = response.StatusCode;
        var problem = response.Content.Headers.ContentType?.MediaType == "application/problem+json"
            ? await ReadAsync(response, TokenJson.Default.ProblemBody, cancellationToken).ConfigureAwait(false)
            : null;
        var title = problem?.Title ?? $"The WixOAuth service answered {(int)status}.";
        return problem?.Code switch
        {
            "reinstall_required" => new ReinstallRequiredException(title),
            "app_removed" => new AppRemovedException(title),
            "unknown_instance" => new UnknownInstanceException(title),
            var code when (int)status >= 500 || status is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests =>
                new WixOAuthUnavailableException(title, RetryAfter(response), code, status),
            null when status is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden =>
                new WixOAuthException("The WixOAuth service refuses the function key or the Entra token.", status: status),
            var code => new WixOAuthException(title, code, status),
        };
    }

    private TimeSpan? RetryAfter(HttpResponseMessage response) => response.Headers.RetryAfter switch
    {
        { Delta: { } delta } => delta,
        { Date: { } date } when date > time.GetUtcNow() => date - time.GetUtcNow(),
        _ => null,
    };

    private static async Task<T?> ReadAsync<T>(
        HttpResponseMessage response, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type, CancellationToken cancellationToken)
        where T : class
    {
        try
        {
            return await response.Content.ReadFromJsonAsync(type, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // No JSON, or in an encoding that is not known.
            return null;
        }
    }
}

internal sealed record TokenBody(string? AccessToken, long ExpiresIn, DateTimeOffset ExpiresOn)
{
    // Holds a token.
    public override string ToString() => nameof(TokenBody);
}

internal sealed record ProblemBody(string? Title, string? Code);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(TokenBody))]
[JsonSerializable(typeof(ProblemBody))]
internal sealed partial class TokenJson : JsonSerializerContext;

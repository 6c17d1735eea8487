using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;
using Spectre.Console;
using WixOAuth.Cli.Import;

namespace WixOAuth.Cli;

/// <summary>What the service answered to an import.</summary>
/// <param name="Outcome">The outcome, or null for an error.</param>
/// <param name="Code">The problem's code; null where none came.</param>
/// <param name="Message">What went wrong, in words.</param>
/// <param name="RetryAfter">When to ask again; null where that does not help.</param>
internal sealed record ImportAnswer(string? Outcome, string? Code, string? Message, TimeSpan? RetryAfter);

/// <summary>Calls the service's HTTP API.</summary>
internal sealed class ServiceClient : IDisposable
{
    /// <summary>How often something is tried while the service is not available.</summary>
    public const int MaxTries = 12;

    private static readonly TimeSpan s_defaultPause = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_longestPause = TimeSpan.FromMinutes(1);
    private readonly CliEnvironment _environment;
    private readonly HttpClient _http;

    private ServiceClient(CliEnvironment environment, Uri url, string key, HttpMessageHandler handler)
    {
        (_environment, Url) = (environment, url);
        _http = new HttpClient(handler)
        {
            BaseAddress = new Uri(url.AbsoluteUri.TrimEnd('/') + "/api/"),
            Timeout = TimeSpan.FromSeconds(100),
        };
        _http.DefaultRequestHeaders.Add("x-functions-key", key);
    }

    public Uri Url { get; }

    /// <summary>How long one answer is waited for.</summary>
    internal TimeSpan Timeout
    {
        get => _http.Timeout;
        set => _http.Timeout = value;
    }

    /// <summary>
    /// Opens a client with the key of <c>WIXOAUTH_KEY</c>, or one that the user types. <paramref name="entraScope"/> is the scope of
    /// the Entra ID tokens to send; null for none.
    /// </summary>
    /// <exception cref="BadUseException">There is no URL or no key.</exception>
    public static async Task<ServiceClient> OpenAsync(
        CliEnvironment environment, string url, int connections, string? entraScope, CancellationToken cancellationToken)
    {
        if (!Uri.TryCreate(url, UriKind.Absolute, out var address) || !(address.Scheme == Uri.UriSchemeHttps || (address.Scheme == Uri.UriSchemeHttp && address.IsLoopback)))
        {
            throw new BadUseException("--url should be the service's address: https, or http on localhost.");
        }

        var key = environment.Variables["WIXOAUTH_KEY"]?.Trim();
        if (string.IsNullOrEmpty(key) && environment.IsInteractive)
        {
            key = await environment.Terminal.PromptAsync(new TextPrompt<string>("Admin key of the service:").Secret(null), cancellationToken);
        }

        if (string.IsNullOrEmpty(key))
        {
            throw new BadUseException("Set WIXOAUTH_KEY to the host's master key (in WixOAuth.Local: Functions__Key, kept in .data/function-key).");
        }

        // A header takes no line break, and the exception for it would quote the key.
        if (!key.All(c => c is > ' ' and <= '~'))
        {
            throw new BadUseException("WIXOAUTH_KEY should be one key: it has a line break, a blank or another character that no key has.");
        }

        // Unencrypted requests must not leave this machine, also where http_proxy names a proxy for all.
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            MaxConnectionsPerServer = connections,
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            UseProxy = !address.IsLoopback,
        };
        return new ServiceClient(environment, address, key, entraScope is null ? handler : new EntraTokenHandler(environment.Credential, entraScope, environment.Time, handler));
    }

    /// <summary>How long to wait after a try, where the service asked for <paramref name="asked"/>.</summary>
    public static TimeSpan PauseAfter(int tries, TimeSpan asked)
    {
        var backoff = TimeSpan.FromMilliseconds(250 * Math.Pow(2, tries) * (0.75 + (0.5 * Random.Shared.NextDouble())));
        var pause = asked > backoff ? asked : backoff;
        return pause < s_longestPause ? pause : s_longestPause;
    }

    /// <summary>Imports one site; <paramref name="revive"/> brings a removed one back. A cancelled import may have succeeded.</summary>
    /// <exception cref="BadUseException">The key, or the lack of an Entra ID token, is refused.</exception>
    /// <exception cref="CommandFailedException">The service cannot import.</exception>
    public async Task<ImportAnswer> ImportAsync(ImportSite site, bool revive, CancellationToken cancellationToken)
    {
        var body = new JsonObject();
        Add("refresh_token", site.RefreshToken?.Reveal());
        Add("customer", site.Customer);
        Add("consented_at", site.ConsentedAt?.UtcDateTime.ToString("O", CultureInfo.InvariantCulture));
        try
        {
            using var content = JsonContent.Create(body);
            using var response = await _http.PutAsync(new Uri($"instances/{site.InstanceId}{(revive ? "?revive=true" : "")}", UriKind.Relative), content, cancellationToken);
            return await ReadAsync(response, cancellationToken);
        }
        catch (HttpRequestException exception)
        {
            return new ImportAnswer(null, "unreachable", $"The service could not be reached ({exception.HttpRequestError}).", s_defaultPause);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return new ImportAnswer(null, "unreachable", "The service did not answer in time.", s_defaultPause);
        }

        void Add(string name, string? value)
        {
            if (value is not null)
            {
                body[name] = value;
            }
        }
    }

    /// <summary>
    /// Asks for an instance that cannot exist, and waits for a service that is not available yet. A wrong address or key is reported
    /// before another server gets a token.
    /// </summary>
    /// <exception cref="BadUseException">The key is refused.</exception>
    /// <exception cref="CommandFailedException">Nothing answers, or something that is not the service.</exception>
    public async Task ReachAsync(CancellationToken cancellationToken)
    {
        for (var tries = 1; ; tries++)
        {
            using var response = await GetInstanceAsync($"{Guid.Empty}", cancellationToken);
            if (response is { StatusCode: HttpStatusCode.BadRequest, Content.Headers.ContentType.MediaType: "application/problem+json" }
                && Text(await ReadJsonAsync(response, cancellationToken), "code") == "invalid_request")
            {
                return;
            }

            if (!IsUnavailable(response.StatusCode) || tries == MaxTries)
            {
                throw new CommandFailedException($"{Url} answers {(int)response.StatusCode}, and not as this service does: is it the right --url?");
            }

            if (tries == 1)
            {
                _environment.Say($"{Url} answers {(int)response.StatusCode}. Waiting for it ...");
            }

            await Task.Delay(PauseAfter(tries, RetryAfter(response.Headers)), _environment.Time, cancellationToken);
        }
    }

    /// <summary>The status of an instance; null when the service does not know it.</summary>
    /// <exception cref="BadUseException">The key, or the lack of an Entra ID token, is refused.</exception>
    /// <exception cref="CommandFailedException">The service does not answer.</exception>
    public async Task<(string Status, string? RefreshToken)?> FindAsync(string instanceId, CancellationToken cancellationToken)
    {
        using var response = await GetInstanceAsync(instanceId, cancellationToken);
        var body = await ReadJsonAsync(response, cancellationToken);
        return response.StatusCode switch
        {
            HttpStatusCode.OK when Text(body, "status") is { } status => (status, Text(body, "refresh_token")),
            HttpStatusCode.NotFound when Text(body, "code") == "unknown_instance" => null,
            var status => throw new CommandFailedException($"The service answered {(int)status} {Text(body, "code")}. Try again later."),
        };
    }

    public void Dispose() => _http.Dispose();

    private async Task<HttpResponseMessage> GetInstanceAsync(string instanceId, CancellationToken cancellationToken)
    {
        try
        {
            var response = await _http.GetAsync(new Uri($"instances/{instanceId}", UriKind.Relative), cancellationToken);
            if (response.StatusCode is not (HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden))
            {
                return response;
            }

            response.Dispose();
            throw AccessDenied();
        }
        catch (HttpRequestException exception)
        {
            throw new CommandFailedException($"{Url} could not be reached ({exception.HttpRequestError}): is it the right --url?");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new CommandFailedException($"{Url} did not answer in time: is it the right --url?");
        }
    }

    private static async Task<ImportAnswer> ReadAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var body = await ReadJsonAsync(response, cancellationToken);
        if (response.IsSuccessStatusCode && Text(body, "outcome") is { } outcome)
        {
            return new ImportAnswer(outcome, null, null, null);
        }

        var (code, title) = (Text(body, "code"), Text(body, "title"));
        return response.StatusCode switch
        {
            HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => throw AccessDenied(),
            HttpStatusCode.NotFound => throw new CommandFailedException("The service has no ImportInstance: is --url right, and is its version new enough?"),
            var status when IsUnavailable(status) =>
                new ImportAnswer(null, code ?? "unavailable", title ?? $"The service answered {(int)response.StatusCode}.", RetryAfter(response.Headers)),
            _ => new ImportAnswer(null, code ?? $"http_{(int)response.StatusCode}", title ?? $"The service answered {(int)response.StatusCode}.", null),
        };
    }

    private static bool IsUnavailable(HttpStatusCode status) =>
        status is HttpStatusCode.TooManyRequests or HttpStatusCode.ServiceUnavailable or HttpStatusCode.BadGateway or HttpStatusCode.GatewayTimeout;

    // Easy Auth and the host answer alike, without a body.
    private static BadUseException AccessDenied() => new(
        "The service denies access. Either the key is wrong: importing needs the host's master key, in WIXOAUTH_KEY. "
        + "Or Entra ID stands in front of the service (ENTRA_CLIENT_ID): give --entra-scope api://<client id>/.default, and allow the application that you are signed in with (ENTRA_ALLOWED_APPLICATIONS).");

    private static TimeSpan RetryAfter(HttpResponseHeaders headers) => headers.RetryAfter?.Delta is { } wait && wait > TimeSpan.Zero ? wait : s_defaultPause;

    private static async Task<JsonElement?> ReadJsonAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        try
        {
            return await response.Content.ReadFromJsonAsync<JsonElement>(cancellationToken);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    private static string? Text(JsonElement? body, string name) =>
        body is { ValueKind: JsonValueKind.Object } json && json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}

using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Net;
using Microsoft.Extensions.Logging;
using Polly;
using Polly.Retry;
using Polly.Timeout;
using WixOAuth.Hosting;
using WixOAuth.Instances;

namespace WixOAuth.Wix;

/// <summary>What a request to Wix is for: decides whether it may be repeated and whether it waits for the circuit.</summary>
internal enum WixRequestKind
{
    /// <summary>The exchange of a code, which Wix takes once: repeated only where it was surely not processed.</summary>
    Exchange,

    /// <summary>A question about a token of an install, whose code is spent: it cannot wait.</summary>
    Confirmation,

    /// <summary>A new access token by refresh token or client credentials: passes the circuit.</summary>
    Refresh,

    /// <summary>An event for Wix, which the sweep sends again where it fails.</summary>
    Event,
}

/// <summary>
/// Sends requests to Wix through a resilience pipeline for their kind: a limit for the whole call, retries, a limit for each
/// attempt. Refreshes pass the circuit with each attempt. Whatever Wix or the network does is a <see cref="WixResponse"/>;
/// only the caller's own cancellation is raised.
/// </summary>
/// <remarks>
/// Not a handler of <c>Microsoft.Extensions.Http.Resilience</c>: whether an answer is a rejection shows in its body,
/// which a handler has not read yet. Codes are exchanged by <paramref name="exchangeHttp"/>, which never reuses a connection:
/// the handler of a reused one sends a request again on its own when the server closes it, and a code must not be sent twice.
/// </remarks>
internal sealed partial class WixTransport(
    HttpClient http, HttpClient exchangeHttp, WixCircuit circuit, WixMetrics metrics, TimeProvider time, ILogger<WixClient> logger)
{
    /// <summary>How long one answer's <c>Retry-After</c> can delay one site.</summary>
    public static readonly TimeSpan LongestRetryAfter = TimeSpan.FromSeconds(60);

    /// <summary>
    /// How many failed calls to one endpoint are logged in a minute, with Wix's request id, by which Wix's support finds them.
    /// For each endpoint by itself, because anybody can cause failing exchanges, which must not hide other failures.
    /// </summary>
    public const int MostLogged = 8;

    private const int LongestRequestId = 64;

    private readonly ConcurrentDictionary<string, LogThrottle> _failures = new(StringComparer.Ordinal);

    private readonly Dictionary<WixRequestKind, ResiliencePipeline<WixResponse>> _pipelines = Enum.GetValues<WixRequestKind>()
        .ToDictionary(kind => kind, kind => new ResiliencePipelineBuilder<WixResponse> { TimeProvider = time }
            .AddTimeout(WixClient.LongestTokenCall)
            .AddRetry(RetriesOf(kind, circuit))
            .AddTimeout(WixClient.AttemptTimeout)
            .Build());

    /// <summary>Sends a request, created again for each attempt; <paramref name="endpoint"/> is its name in logs and metrics.</summary>
    public async Task<WixResponse> SendAsync(WixRequestKind kind, string endpoint, Func<HttpRequestMessage> create, CancellationToken cancellationToken)
    {
        // Hosts have no context to return to; tests that run the service step by step do.
        var context = ResilienceContextPool.Shared.Get(continueOnCapturedContext: true, cancellationToken);
        try
        {
            return await _pipelines[kind].ExecuteAsync(async each => await SendOnceAsync(kind, endpoint, create, cancellationToken, each.CancellationToken), context);
        }
        catch (TimeoutRejectedException)
        {
            return new WixResponse(WixResponseKind.Unavailable);
        }
        finally
        {
            ResilienceContextPool.Shared.Return(context);
        }
    }

    private async Task<WixResponse> SendOnceAsync(
        WixRequestKind kind, string endpoint, Func<HttpRequestMessage> create, CancellationToken caller, CancellationToken cancellationToken)
    {
        var (passesCircuit, isProbe) = (kind == WixRequestKind.Refresh, false);
        if (passesCircuit && !circuit.TryBegin(out isProbe))
        {
            return new WixResponse(WixResponseKind.Unavailable) { RetryAfter = circuit.RetryAfter };
        }

        using var activity = metrics.Trace(endpoint);
        var startedAt = time.GetTimestamp();
        WixResponse? response = null;
        try
        {
            return response = await ReceiveAsync(kind, create, cancellationToken);
        }
        finally
        {
            var outcome = response is not null ? SnakeCaseEnum.Of(response.Kind) : caller.IsCancellationRequested ? "cancelled" : SnakeCaseEnum.Of(WixResponseKind.Unavailable);
            metrics.CalledWix(activity, endpoint, outcome, response?.Status, response?.RequestId, time.GetElapsedTime(startedAt));
            if (response?.Kind != WixResponseKind.Success)
            {
                LogFailure(endpoint, outcome, response);
            }

            if (passesCircuit)
            {
                circuit.End(isProbe, response);
            }
        }
    }

    private void LogFailure(string endpoint, string outcome, WixResponse? response)
    {
        if (!_failures.GetOrAdd(endpoint, _ => new LogThrottle(time, MostLogged)).TryPass(out var suppressed))
        {
            return;
        }

        if (suppressed > 0)
        {
            CallsNotLogged(suppressed);
        }

        CallFailed(endpoint, outcome, response?.Status, response?.RequestId);
    }

    [SuppressMessage("Design", "CA1031", Justification = "Any exception while reading a response means that there is no usable response.")]
    private async Task<WixResponse> ReceiveAsync(WixRequestKind kind, Func<HttpRequestMessage> create, CancellationToken cancellationToken)
    {
        var sentAt = time.GetUtcNow();
        try
        {
            using var message = create();
            var client = kind == WixRequestKind.Exchange ? exchangeHttp : http;
            using var response = await client.SendAsync(message, HttpCompletionOption.ResponseContentRead, cancellationToken);
            return Classify(response, await response.Content.ReadAsByteArrayAsync(cancellationToken), sentAt);
        }
        catch (HttpRequestException exception)
        {
            return new WixResponse(WixResponseKind.Unavailable)
            {
                SentAt = sentAt,
                SurelyNotProcessed = exception.HttpRequestError
                    is HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError,
            };
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // The client has no timeout of its own, so this is the handler's for a connection: nothing was sent.
            return new WixResponse(WixResponseKind.Unavailable) { SentAt = sentAt, SurelyNotProcessed = true };
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            // A body that could not be read or decoded: it is unknown whether the request was processed.
            return new WixResponse(WixResponseKind.Unavailable) { SentAt = sentAt };
        }
    }

    private WixResponse Classify(HttpResponseMessage response, byte[] bytes, DateTimeOffset sentAt)
    {
        var body = WixJson.Parse(bytes, response.Content.Headers.ContentType?.CharSet);
        return new WixResponse(response.StatusCode switch
        {
            >= HttpStatusCode.OK and < HttpStatusCode.MultipleChoices => WixResponseKind.Success,
            HttpStatusCode.BadRequest or HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden or HttpStatusCode.NotFound when body is not null =>
                WixResponseKind.Rejected,
            _ => WixResponseKind.Unavailable,
        })
        {
            Body = body,
            SentAt = sentAt,
            Status = (int)response.StatusCode,
            RetryAfter = RetryAfter(response),
            RequestId = RequestId(response),
            SurelyNotProcessed = response.StatusCode is HttpStatusCode.TooManyRequests or HttpStatusCode.ServiceUnavailable,
        };
    }

    private TimeSpan? RetryAfter(HttpResponseMessage response)
    {
        var retryAfter = response.Headers.RetryAfter;
        return (retryAfter?.Delta ?? (retryAfter?.Date - time.GetUtcNow())) is { } wait
            ? TimeSpan.FromTicks(Math.Clamp(wait.Ticks, 0, LongestRetryAfter.Ticks))
            : null;
    }

    // It goes into our log, so it has to look like an id.
    private static string? RequestId(HttpResponseMessage response) =>
        response.Headers.TryGetValues("x-wix-request-id", out var values)
        && values.ToList() is [{ Length: > 0 and <= LongestRequestId } id]
        && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_' or ':')
            ? id
            : null;

    private static RetryStrategyOptions<WixResponse> RetriesOf(WixRequestKind kind, WixCircuit circuit) => new()
    {
        MaxRetryAttempts = kind == WixRequestKind.Exchange ? 2 : 1,
        Delay = TimeSpan.FromMilliseconds(250),
        MaxDelay = WixClient.LongestPause,
        BackoffType = DelayBackoffType.Exponential,
        UseJitter = true,
        ShouldHandle = attempt => ValueTask.FromResult(IsWorthRetrying(kind, attempt.Outcome, circuit)),
        DelayGenerator = attempt => ValueTask.FromResult(attempt.Outcome.Result?.RetryAfter),
    };

    private static bool IsWorthRetrying(WixRequestKind kind, Outcome<WixResponse> outcome, WixCircuit circuit)
    {
        // Calls of an install cannot wait for the circuit.
        if (kind is not (WixRequestKind.Exchange or WixRequestKind.Confirmation) && circuit.IsOpen)
        {
            return false;
        }

        if (outcome.Result is not { } response)
        {
            return outcome.Exception is TimeoutRejectedException && kind != WixRequestKind.Exchange;
        }

        // A Retry-After that is longer than this call can wait is left to the caller.
        return response.Kind == WixResponseKind.Unavailable
            && (kind != WixRequestKind.Exchange || response.SurelyNotProcessed)
            && !(response.RetryAfter > WixClient.LongestPause);
    }

    // Statuses and Wix's request ids, never a body or a URL.
    [LoggerMessage(703, LogLevel.Warning, "Call {Endpoint} to Wix failed: {Outcome}, status {Status}, Wix request id {RequestId}")]
    private partial void CallFailed(string endpoint, string outcome, int? status, string? requestId);

    [LoggerMessage(704, LogLevel.Warning, "{Count} more failed calls to Wix in the previous minute were not logged individually")]
    private partial void CallsNotLogged(int count);
}

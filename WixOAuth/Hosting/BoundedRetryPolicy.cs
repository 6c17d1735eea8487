using System.Globalization;
using Azure.Core;
using Azure.Core.Pipeline;

namespace WixOAuth.Hosting;

/// <summary>
/// Retries requests of the Azure SDK, but not where a service asks for a longer pause (<c>Retry-After</c>) than
/// <paramref name="longestPause"/>: the SDK itself would wait for as long as it is told to, and so would our callers.
/// </summary>
internal sealed class BoundedRetryPolicy(int maxRetries, DelayStrategy delay, TimeSpan longestPause) : RetryPolicy(maxRetries, delay)
{
    protected override bool ShouldRetry(HttpMessage message, Exception? exception) =>
        !AsksForMore(message) && base.ShouldRetry(message, exception);

    protected override async ValueTask<bool> ShouldRetryAsync(HttpMessage message, Exception? exception) =>
        !AsksForMore(message) && await base.ShouldRetryAsync(message, exception);

    private bool AsksForMore(HttpMessage message) =>
        message.HasResponse
        && message.Response.Headers.TryGetValue("Retry-After", out var value)
        && !(double.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) && seconds <= longestPause.TotalSeconds);
}

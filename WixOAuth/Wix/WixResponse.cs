using System.Text.Json;

namespace WixOAuth.Wix;

/// <summary>What an answer of Wix means, by its status and whether its body is JSON (wix-protocol §5).</summary>
internal enum WixResponseKind
{
    /// <summary>2xx.</summary>
    Success,

    /// <summary>400, 401, 403 or 404 with a JSON object: Wix itself refuses, not a proxy's page in its place.</summary>
    Rejected,

    /// <summary>Anything else, or nothing.</summary>
    Unavailable,
}

internal sealed record WixResponse(WixResponseKind Kind)
{
    /// <summary>The body, where it is a JSON object.</summary>
    public JsonElement? Body { get; init; }

    public DateTimeOffset SentAt { get; init; }

    /// <summary>The status; null where no answer came.</summary>
    public int? Status { get; init; }

    /// <summary>When Wix asked to be tried again, at most <see cref="WixTransport.LongestRetryAfter"/>.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary><c>x-wix-request-id</c> (wix-protocol §12), where it looks like an id.</summary>
    public string? RequestId { get; init; }

    /// <summary>Whether Wix surely did nothing: no connection, 429 or 503.</summary>
    public bool SurelyNotProcessed { get; init; }

    // The body holds tokens.
    public override string ToString() => Kind.ToString();
}

using WixOAuth.Instances;

namespace WixOAuth.Lifecycle;

internal enum WebhookOutcome
{
    Applied,
    NotUsed,

    /// <summary>Answered 503 after one second. A slow storage: the event is still applied. Slow keys: it is not. Wix sends it again.</summary>
    TimedOut,

    Untrusted,
    Malformed,
    Failed,
    Cancelled,
}

/// <summary>What a body posted as a webhook turned out to be.</summary>
internal abstract record Webhook
{
    private Webhook()
    {
    }

    /// <summary>No signed JWT, or one that lacks what its event is about.</summary>
    public sealed record Malformed : Webhook;

    /// <summary>A JWT that is not proven to be Wix's.</summary>
    /// <param name="Reason">Why, in our own words; contains nothing of the request.</param>
    public sealed record Untrusted(string Reason) : Webhook;

    /// <summary>Wix's, but of a kind that is not used.</summary>
    public sealed record NotUsed : Webhook;

    /// <summary>Wix's, but about another app.</summary>
    public sealed record OfAnotherApp : Webhook;

    /// <summary>An install or a removal to be applied. <c>IssuedAt</c> is its <c>iat</c>, in whole seconds of Wix's clock.</summary>
    public sealed record Known(bool IsRemoval, InstanceId InstanceId, DateTimeOffset IssuedAt) : Webhook;
}

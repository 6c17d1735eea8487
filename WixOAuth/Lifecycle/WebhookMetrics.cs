using System.Diagnostics;
using System.Diagnostics.Metrics;
using WixOAuth.Instances;
using WixOAuth.Telemetry;

namespace WixOAuth.Lifecycle;

internal sealed class WebhookMetrics(Instruments instruments)
{
    private readonly Histogram<double> _webhooks = instruments.Durations("wixoauth.webhook.duration", "Deliveries of webhooks.");

    public Activity? TraceWebhook() => instruments.Trace("Webhook");

    public void WebhookEnded(Activity? activity, WebhookOutcome outcome, TimeSpan took)
    {
        var word = SnakeCaseEnum.Of(outcome);
        activity.SetOutcome(word, failed: outcome is not (WebhookOutcome.Applied or WebhookOutcome.NotUsed));
        _webhooks.Record(took.TotalSeconds, Tags.OfOutcome(word));
    }
}

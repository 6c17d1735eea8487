using System.Diagnostics;
using WixOAuth.Instances;

namespace WixOAuth.Telemetry;

internal static class Tags
{
    public const string Outcome = "outcome";
    public const string Grant = "wix.grant";

    public static KeyValuePair<string, object?> OfOutcome(string outcome) => new(Outcome, outcome);

    public static Activity SetInstance(this Activity activity, InstanceId id) => activity.SetTag("wix.instance_id", id.ToString());

    public static void SetOutcome(this Activity? activity, string outcome, bool failed)
    {
        activity?.SetTag(Outcome, outcome);
        if (failed)
        {
            activity?.SetTag("error.type", outcome).SetStatus(ActivityStatusCode.Error);
        }
    }
}

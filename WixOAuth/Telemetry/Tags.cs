using System.Diagnostics;
using WixOAuth.Instances;

namespace WixOAuth.Telemetry;

/// <summary>The tags of metrics and activities.</summary>
internal static class Tags
{
    public const string Outcome = "outcome";
    public const string Grant = "wix.grant";

    /// <summary>The tag of a measurement with one tag only.</summary>
    public static KeyValuePair<string, object?> OfOutcome(string outcome) => new(Outcome, outcome);

    /// <summary>Names the instance that an activity is about.</summary>
    public static Activity SetInstance(this Activity activity, InstanceId id) => activity.SetTag("wix.instance_id", id.ToString());

    /// <summary>Says how an activity ended.</summary>
    public static void SetOutcome(this Activity? activity, string outcome, bool failed)
    {
        activity?.SetTag(Outcome, outcome);
        if (failed)
        {
            activity?.SetTag("error.type", outcome).SetStatus(ActivityStatusCode.Error);
        }
    }
}

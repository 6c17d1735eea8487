using System.Globalization;

namespace WixOAuth.PretendWix.Pages;

/// <summary>The latest calls of the API, and the latest webhooks.</summary>
internal sealed class Lately(PretendWixServer server, WixState wix, PretendWixControl control)
{
    private const int Shown = 10;

    public IReadOnlyList<LatelyRow> Rows()
    {
        var calls = control.Calls.Select(call => (call.At, Row: new LatelyRow(
            SiteParts.Time(call.At), Describe(call), wix.NameOf(call.InstanceId), call.Status == 0 ? "none" : Code(call.Status))));
        var webhooks = server.Deliveries.Select(delivery => (delivery.At, Row: new LatelyRow(
            SiteParts.Time(delivery.At),
            $"Webhook {delivery.EventType} sent",
            wix.NameOf(delivery.InstanceId),
            delivery.Status is { } status ? Code(status) : delivery.Problem ?? "none")));
        return [.. calls.Concat(webhooks).OrderByDescending(each => each.At).Take(Shown).Select(each => each.Row)];
    }

    private static string Code(int status) => status.ToString(CultureInfo.InvariantCulture);

    private static string Describe(PretendWixCall call) => (call.Endpoint, call.Grant) switch
    {
        (PretendWixEndpoints.Access, "authorization_code") => "Code exchanged for tokens",
        (PretendWixEndpoints.Access, _) => "Access token refreshed",
        (PretendWixEndpoints.Token, _) => "Token by client credentials",
        (PretendWixEndpoints.TokenInfo, _) => "Token looked up",
        (PretendWixEndpoints.Instance, _) => "Site's details read",
        (PretendWixEndpoints.BiEvent, _) => "Setup reported",
        _ => "Install window closed",
    };
}

/// <summary>A call or a webhook.</summary>
internal sealed record LatelyRow(string At, string What, string Site, string Answer);

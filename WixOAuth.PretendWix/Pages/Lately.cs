using System.Globalization;

namespace WixOAuth.PretendWix.Pages;

/// <summary>The latest calls of the API, and the latest webhooks.</summary>
internal sealed class Lately(PretendWixServer server, WixState wix, PretendWixControl control)
{
    public Html Render()
    {
        var calls = control.Calls.Select(call => (call.At, call.InstanceId, What: Describe(call), Answer: call.Status == 0 ? "none" : Code(call.Status)));
        var webhooks = server.Deliveries.Select(delivery => (
            delivery.At,
            InstanceId: (Guid?)delivery.InstanceId,
            What: $"Webhook {delivery.EventType} sent",
            Answer: delivery.Status is { } status ? Code(status) : delivery.Problem ?? "none"));
        var rows = calls.Concat(webhooks).OrderByDescending(row => row.At).Take(10).ToList();
        return rows.Count == 0 ? Html.Of($"""<p class="muted">Nothing yet.</p>""") : Html.Of($"""
            <table>
            <thead><tr><th scope="col">UTC</th><th scope="col">What, of which site</th><th scope="col">Answer</th></tr></thead>
            <tbody>{Html.Join(rows.Select(row => Html.Of($"""
                <tr><td><time>{row.At.UtcDateTime.ToString("HH:mm:ss", CultureInfo.InvariantCulture)}</time></td><td>{row.What}<span class="of">{NameOf(row.InstanceId)}</span></td><td class="number">{row.Answer}</td></tr>
                """)))}</tbody></table>
            """);
    }

    private static string Code(int status) => status.ToString(CultureInfo.InvariantCulture);

    private string NameOf(Guid? instanceId) => instanceId is { } id && wix.TryGetSite(id, out var site) ? site.Name : "unknown";

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

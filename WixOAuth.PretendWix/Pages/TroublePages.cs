namespace WixOAuth.PretendWix.Pages;

/// <summary>Buttons that make this Wix, or the receiver of events, fail.</summary>
internal sealed class TroublePages(PretendWixServer server, WixState wix, PretendWixControl control)
{
    private const int SitesShown = 20;

    private static readonly string[] s_tokenEndpoints = [PretendWixEndpoints.Access, PretendWixEndpoints.Token];

    private readonly record struct Trouble(string Name, string Title, string Effect, Action<PretendWixControl> Begin);

    private static readonly Trouble[] s_troubles =
    [
        new("down", "Wix is down", "Every call for tokens is answered with 503.", control => Fail(control, new() { Status = 503 })),
        new("silent", "Wix cuts connections", "No call for tokens is answered.", control => Fail(control, new() { Kind = PretendWixFaultKind.ResetBefore })),
        new("throttled", "Wix throttles", "Calls for tokens are answered with 429 and Retry-After: 60.", control => Fail(control, new() { Status = 429, RetryAfter = "60" })),
        new("slow", "Wix is slow", "Each call for tokens takes three seconds.", control => control.Switches = control.Switches with
        {
            LatencyMs = s_tokenEndpoints.ToDictionary(endpoint => endpoint, _ => 3_000),
        }),
        new("secret", "The app secret was changed", "Wix rejects the secret that the service has.", control => control.RotateAppSecret(Guid.NewGuid().ToString(), oldStaysValid: false)),
    ];

    private static readonly Trouble[] s_receiverTroubles =
    [
        new("receiver-down", "Your app is down", "Events are answered with 503: they wait, and are sent again.", control => Answer(control, StatusCodes.Status503ServiceUnavailable)),
        new("receiver-gone", "Your app wants no events", "Events are answered with 410: they are parked.", control => Answer(control, StatusCodes.Status410Gone)),
    ];

    public void Map(WebApplication app)
    {
        app.MapGet("/trouble", Show);
        app.MapPost("/trouble/{name}", context => ActAsync(context, () => Begin(context)));
        app.MapPost("/sites/{instanceId:guid}/reject", context => ActAsync(context, () => Reject(context, rejected: true)));
        app.MapPost("/sites/{instanceId:guid}/accept", context => ActAsync(context, () => Reject(context, rejected: false)));
    }

    private static void Fail(PretendWixControl control, PretendWixFault fault)
    {
        foreach (var endpoint in s_tokenEndpoints)
        {
            control.Fail(endpoint, fault);
        }
    }

    private static void Answer(PretendWixControl control, int status) => control.Switches = control.Switches with { ReceiverStatus = status };

    private Task Show(HttpContext context)
    {
        var sites = wix.NamedSites.Where(site => site.Snapshot().Status == PretendSiteStatus.Installed).Take(SitesShown).ToList();
        return Page.WriteAsync(context, "Make Wix fail", Html.Of($"""
            <h1>Make Wix fail</h1>
            <p class="lede">Press one, and look what the service, its operators’ page and its log say. Each lasts until you end it.</p>
            {State()}
            <ul class="troubles card">{Html.Join(s_troubles.Concat(server.EventsUrl is null ? [] : s_receiverTroubles).Select(Item))}</ul>
            {(sites.Count == 0 ? Html.Empty : Html.Of($"""<h2>One site</h2><ul class="troubles card">{Html.Join(sites.Select(SiteItem))}</ul>"""))}
            <p class="muted">More switches, faults and counts, as JSON: <a href="/_control">/_control</a></p>
            <p class="back"><a href="/">Back to your sites</a></p>
            """));
    }

    private Html State()
    {
        var words = Words().ToList();
        return words.Count == 0
            ? Html.Of($"""<p class="note ok" role="status">All is well.</p>""")
            : Html.Of($"""<div class="note warn actions" role="status"><span>{string.Join(" ", words)}</span><form method="post" action="/trouble/none"><button>End it</button></form></div>""");
    }

    private IEnumerable<string> Words()
    {
        foreach (var (endpoint, fault) in control.Faults)
        {
            yield return $"The endpoint {endpoint} fails ({(fault.Fault.Kind == PretendWixFaultKind.Status ? $"status {fault.Fault.Status}" : fault.Fault.Kind)}).";
        }

        if (control.Switches.LatencyMs.Any(pair => pair.Value > 0))
        {
            yield return "Wix is slow.";
        }

        if (!control.HasFirstSecret)
        {
            yield return "The app secret was changed.";
        }

        if (control.Switches.ReceiverStatus is < 200 or > 299)
        {
            yield return $"Your app answers events with {control.Switches.ReceiverStatus}.";
        }
    }

    private static Html Item(Trouble trouble) => Html.Of($"""
        <li><form method="post" action="/trouble/{trouble.Name}"><button aria-describedby="effect-{trouble.Name}">{trouble.Title}</button></form><span class="muted" id="effect-{trouble.Name}">{trouble.Effect}</span></li>
        """);

    private static Html SiteItem(Site site) => Html.Of($"""
        <li><span><bdi>{site.Name}</bdi></span><span class="actions"><form method="post" action="/sites/{site.InstanceId}/reject"><button aria-label="Reject its refresh token: {site.Name}">Reject its refresh token</button></form>
        <form method="post" action="/sites/{site.InstanceId}/accept"><button aria-label="Accept it again: {site.Name}">Accept it again</button></form></span></li>
        """);

    private bool Begin(HttpContext context)
    {
        var name = context.Request.RouteValues["name"]?.ToString();
        if (name == "none")
        {
            control.EndTroubles();
            return true;
        }

        var trouble = s_troubles.Concat(s_receiverTroubles).FirstOrDefault(each => each.Name == name);
        trouble.Begin?.Invoke(control);
        return trouble.Begin is not null;
    }

    private bool Reject(HttpContext context, bool rejected)
    {
        if (!wix.TryGetSite(context, out var site))
        {
            return false;
        }

        control.RejectRefreshToken(site.InstanceId, rejected);
        return true;
    }

    // Another page in the same browser could send these forms too.
    private static Task ActAsync(HttpContext context, Func<bool> act)
    {
        if (context.Request.Headers["Sec-Fetch-Site"] != "same-origin")
        {
            return Page.WriteProblemAsync(context, "That button was not pressed here", "Press it on this page.", StatusCodes.Status403Forbidden);
        }

        if (!act())
        {
            return Page.WriteProblemAsync(context, "Not known", "There is no such trouble or site.", StatusCodes.Status404NotFound);
        }

        Page.Redirect(context, "/trouble", StatusCodes.Status303SeeOther);
        return Task.CompletedTask;
    }
}

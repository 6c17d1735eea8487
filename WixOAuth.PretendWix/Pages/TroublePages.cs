namespace WixOAuth.PretendWix.Pages;

/// <summary>Buttons that make this Wix, or the receiver of events, fail.</summary>
internal sealed class TroublePages(PretendWixServer server, WixState wix, PretendWixControl control)
{
    private const int SitesShown = 20;

    private static readonly string[] s_tokenEndpoints = [PretendWixEndpoints.Access, PretendWixEndpoints.Token];

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
        var words = Words().ToList();
        return Page.WriteAsync(context, "Make Wix fail", new TroublePage
        {
            Model = new(
                words.Count == 0 ? null : string.Join(" ", words),
                [.. s_troubles.Concat(server.EventsUrl is null ? [] : s_receiverTroubles)],
                [.. wix.NamedSites.Where(site => site.Snapshot().Status == PretendSiteStatus.Installed).Take(SitesShown)]),
        });
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

    private bool Begin(HttpContext context)
    {
        var name = context.Request.RouteValues["name"]?.ToString();
        if (name == "none")
        {
            control.EndTroubles();
            return true;
        }

        var trouble = s_troubles.Concat(s_receiverTroubles).FirstOrDefault(each => each.Name == name);
        trouble?.Begin(control);
        return trouble is not null;
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

/// <summary>A failure that a button causes.</summary>
internal sealed record Trouble(string Name, string Title, string Effect, Action<PretendWixControl> Begin);

/// <summary>The page of failures.</summary>
/// <param name="State">The failures that are on; null when there are none.</param>
/// <param name="Troubles">The failures for all sites.</param>
/// <param name="Sites">The sites whose refresh tokens can be rejected.</param>
internal sealed record TroubleModel(string? State, IReadOnlyList<Trouble> Troubles, IReadOnlyList<Site> Sites);

using System.Text.Json;
using System.Text.Json.Nodes;

namespace WixOAuth.PretendWix;

/// <summary>Control over HTTP, for curl and for programs that run elsewhere.</summary>
internal sealed class ControlEndpoints(PretendWixServer server, WixState wix, PretendWixControl control)
{
    public void Map(WebApplication app)
    {
        var group = app.MapGroup("/_control");
        group.MapGet("", () => Json(State()));
        group.MapGet("/instances/{instanceId:guid}", (Guid instanceId) => wix.TryGetSite(instanceId, out var site)
            ? Json(new { site = site.Snapshot(), counts = site.Counts() })
            : Problem(StatusCodes.Status404NotFound, "No such instance."));
        Post(group, "", Patch);
        Post(group, "/reset", _ =>
        {
            server.Reset();
            return State();
        });
        Post(group, "/install", body => server.CreateInstall(body["name"]?.GetValue<string>() ?? "A site"));
        Post(group, "/code", body => new { code = server.IssueCode(InstanceOf(body)) });
        Post(group, "/remove", body => new { removed = server.Remove(InstanceOf(body)) });
        Post(group, "/clone", body => server.Clone(InstanceOf(body)));
        Post(group, "/reject", body =>
        {
            control.RejectRefreshToken(InstanceOf(body), body["rejected"]?.GetValue<bool>() ?? true);
            return new { };
        });
        Post(group, "/webhook", body => new
        {
            jwt = server.SignWebhook(body["eventType"]?.GetValue<string>() ?? throw new ArgumentException("eventType is missing."), InstanceOf(body)),
        });
        Post(group, "/replay", body => new { replayed = server.ReplayWebhook(NumberOf(body, "number")) });
        Post(group, "/seed", body => server.Seed(NumberOf(body, "count")));
    }

    private static Guid InstanceOf(JsonObject body) =>
        Guid.TryParseExact(body["instanceId"]?.GetValue<string>(), "D", out var id) ? id : throw new ArgumentException("instanceId is missing.");

    private static int NumberOf(JsonObject body, string name) =>
        body[name]?.GetValue<int>() ?? throw new ArgumentException($"{name} is missing.");

    // Only JSON is taken: a form or a simple request of some web page in the same browser cannot send it.
    private static void Post(IEndpointRouteBuilder routes, string path, Func<JsonObject, object> act) =>
        routes.MapPost(path, async (HttpRequest request, CancellationToken cancellationToken) =>
        {
            if (!request.HasJsonContentType())
            {
                return Problem(StatusCodes.Status415UnsupportedMediaType, "Send it as application/json.");
            }

            try
            {
                var body = request.ContentLength == 0 ? [] : await JsonNode.ParseAsync(request.Body, cancellationToken: cancellationToken) as JsonObject;
                return body is null ? Problem(StatusCodes.Status400BadRequest, "Send a JSON object.") : Json(act(body));
            }
            catch (Exception e) when (e is JsonException or ArgumentException or InvalidOperationException or FormatException)
            {
                return Problem(StatusCodes.Status400BadRequest, e.Message);
            }
        });

    private static IResult Json(object value) => Results.Json(value, PretendWixJson.Options);

    private static IResult Problem(int status, string detail) => Results.Problem(detail, statusCode: status);

    private object Patch(JsonObject patch)
    {
        // Everything is read and checked before anything is set: a refused patch changes nothing.
        var faults = (patch["faults"]?.AsObject() ?? []).Select(FaultOf).ToList();
        patch.Remove("faults");
        var secret = patch["appSecret"]?.GetValue<string>();
        patch.Remove("appSecret");
        var oldStaysValid = patch["oldAppSecretStaysValid"]?.GetValue<bool>() ?? false;
        patch.Remove("oldAppSecretStaysValid");
        if (secret == "")
        {
            throw new ArgumentException("appSecret is empty.");
        }

        // Merge-patch of RFC 7396: what is null goes back to its default.
        var merged = JsonSerializer.SerializeToNode(control.Switches, PretendWixJson.Options)!.AsObject();
        Merge(merged, patch);
        control.Switches = merged.Deserialize<PretendWixSwitches>(PretendWixJson.Options)!;

        foreach (var (endpoint, fault) in faults)
        {
            if (fault is null)
            {
                control.Heal(endpoint);
            }
            else
            {
                control.Fail(endpoint, fault);
            }
        }

        if (secret is not null)
        {
            control.RotateAppSecret(secret, oldStaysValid);
        }

        return State();
    }

    private static (string Endpoint, PretendWixFault? Fault) FaultOf(KeyValuePair<string, JsonNode?> given)
    {
        _ = PretendWixEndpoints.IndexOf(given.Key);
        var fault = given.Value.Deserialize<PretendWixFault>(PretendWixJson.Options);
        fault?.Validate();
        return (given.Key, fault);
    }

    private static void Merge(JsonObject target, JsonObject patch)
    {
        foreach (var (name, value) in patch)
        {
            if (value is null)
            {
                target.Remove(name);
            }
            else if (value is JsonObject inner && target[name] is JsonObject existing)
            {
                Merge(existing, inner);
            }
            else
            {
                target[name] = value.DeepClone();
            }
        }
    }

    private object State() => new
    {
        control.Switches,
        Faults = control.Faults.ToDictionary(pair => pair.Key, pair => new { pair.Value.Fault, pair.Value.Left }),
        control.Counts,
        wix.SiteCount,
        Sites = wix.NamedSites.Take(100).Select(site => site.Snapshot()),
        Calls = control.Calls.TakeLast(50),
        Webhooks = server.Deliveries.TakeLast(50).Select(delivery => new
        {
            delivery.Number,
            delivery.EventType,
            delivery.InstanceId,
            delivery.At,
            delivery.Status,
            delivery.Problem,
            TookMs = (long)delivery.Took.TotalMilliseconds,
        }),
        server.WebhookPublicKeyPem,
    };
}

using System.Collections.Concurrent;
using System.Net;
using System.Text.Json;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Faults;

/// <summary>Wix as documented, the receiver of events, and the faults of the calls to them.</summary>
internal sealed class FaultyWix(FaultyCalls calls, InstanceId id, string appId, TimeProvider time)
{
    private readonly ConcurrentDictionary<string, bool> _codes = new(StringComparer.Ordinal);
    private int _issued;

    /// <summary>Whether it accepts the refresh token.</summary>
    public bool AcceptsRefreshToken { get; set; } = true;

    /// <summary>How many codes were used twice.</summary>
    public int CodesUsedTwice { get; private set; }

    /// <summary>How many set-up events it received.</summary>
    public int SetupEvents { get; private set; }

    /// <summary>How many events the receiver behind <c>Events__Url</c> received.</summary>
    public int EventsReceived { get; private set; }

    public async Task<HttpResponseMessage> AnswerAsync(string path, JsonElement? body, CancellationToken cancellationToken)
    {
        if (calls.Meet(KindOf(path, body)) is not { } fault)
        {
            return Act(path, body);
        }

        if (fault.Acts)
        {
            Act(path, body).Dispose();
        }

        return await fault.HappenAsync(null, time, cancellationToken);
    }

    private static string KindOf(string path, JsonElement? body) => path switch
    {
        "/oauth/access" => body!.Value.GetProperty("grant_type").GetString() == "refresh_token" ? "refresh" : "exchange of the code",
        "/oauth2/token" => "client credentials",
        "/oauth2/token-info" => "token-info",
        "/apps/v1/instance" => "Get App Instance",
        "/apps/v1/bi-event" => "BI event",
        "/events" => "event to the receiver",
        _ => path,
    };

    private HttpResponseMessage Act(string path, JsonElement? body)
    {
        switch (path)
        {
            case "/oauth/access" when body!.Value.GetProperty("grant_type").GetString() == "refresh_token":
                return AcceptsRefreshToken ? StubWix.Tokens($"access-{++_issued}", "refresh-1") : StubWix.Status(400);
            case "/oauth/access":
                if (!_codes.TryAdd(body!.Value.GetProperty("code").GetString()!, true))
                {
                    CodesUsedTwice++;
                    return StubWix.Status(400);
                }

                return StubWix.Tokens($"access-{++_issued}", "refresh-1");
            case "/oauth2/token":
                return StubWix.Tokens($"minted-{++_issued}", expiresIn: 14_400);
            case "/oauth2/token-info":
                return StubWix.Json(HttpStatusCode.OK, $$"""{"active":"true","clientId":"{{appId}}","instanceId":"{{id}}","iat":"1700000000"}""");
            case "/apps/v1/instance":
                return StubWix.Json(HttpStatusCode.OK, $$"""{"instance":{"instanceId":"{{id}}","appVersion":"1"},"site":{"siteDisplayName":"Ann"} }""");
            case "/events":
                EventsReceived++;
                return StubWix.Json(HttpStatusCode.OK, "{}");
            default:
                SetupEvents++;
                return StubWix.Json(HttpStatusCode.OK, "{}");
        }
    }
}

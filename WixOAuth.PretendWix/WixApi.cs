using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace WixOAuth.PretendWix;

/// <summary>Wix's API, as far as an app like ours calls it (wix-protocol §5, §6 and §8).</summary>
internal sealed class WixApi(Ledger ledger, PretendWixOptions options, PretendWixControl control, ILogger logger, CancellationToken stopping)
{
    private const long MaxBody = 64 * 1024;

    public void Map(WebApplication app)
    {
        app.MapPost("/oauth/access", context => ServeAsync(context, PretendWixEndpoints.Access, Access));
        app.MapPost("/oauth2/token", context => ServeAsync(context, PretendWixEndpoints.Token, Token));
        app.MapPost("/oauth2/token-info", context => ServeAsync(context, PretendWixEndpoints.TokenInfo, TokenInfo));
        app.MapGet("/apps/v1/instance", context => ServeAsync(context, PretendWixEndpoints.Instance, Instance));
        app.MapPost("/apps/v1/bi-event", context => ServeAsync(context, PretendWixEndpoints.BiEvent, BiEvent));
        app.Map("/_elsewhere", () =>
        {
            control.WentElsewhere();
            return Results.Text("{}", "application/json");
        });
    }

    private async Task ServeAsync(HttpContext context, string endpoint, Func<Call, Answer> act)
    {
        var call = await ReadAsync(context.Request);
        var index = PretendWixEndpoints.IndexOf(endpoint);
        var grant = PretendWixControl.GrantIndex(call.Grant);
        var site = call.Site;
        var status = 0;
        string? detail = null;

        control.Enter(index, grant, site);
        try
        {
            // What reached Wix is done, even where the caller has gone: only the server's own end stops it.
            await DelayAsync(endpoint);
            if (control.Gate is { } gate)
            {
                await gate(endpoint, stopping);
            }

            var faulty = control.TryTakeFault(index, call.Grant, site?.InstanceId, out var fault);
            var answer = faulty && !IsAfter(fault!.Kind) ? null : act(call);
            detail = faulty ? fault!.Kind.ToString() : answer!.Detail;
            if (control.GateAfter is { } gateAfter)
            {
                await gateAfter(endpoint, stopping);
            }

            status = faulty ? await FailAsync(context, fault!) : await AnswerAsync(context, answer!);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            context.Abort();
        }
        finally
        {
            control.Leave(index, grant, site, status, detail);
            PretendWixLog.Answered(logger, endpoint, call.Grant, site?.InstanceId, status, detail);
        }
    }

    private async Task DelayAsync(string endpoint)
    {
        if (control.Switches.LatencyMs.TryGetValue(endpoint, out var milliseconds) && milliseconds > 0)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(milliseconds), TimeProvider.System, stopping);
        }
    }

    private static bool IsAfter(PretendWixFaultKind kind) =>
        kind is PretendWixFaultKind.ResetAfter or PretendWixFaultKind.HangAfter or PretendWixFaultKind.MalformedJson or PretendWixFaultKind.MissingFields;

    private async Task<int> FailAsync(HttpContext context, PretendWixFault fault)
    {
        switch (fault.Kind)
        {
            case PretendWixFaultKind.Status:
                if (fault.RetryAfter is not null)
                {
                    context.Response.Headers.RetryAfter = fault.RetryAfter;
                }

                var body = fault.Body ?? """{"message":"The pretend Wix was told to fail.","details":{"applicationError":{"code":"PRETEND_FAULT"}}}""";
                var type = body.StartsWith('<') ? "text/html" : "application/json";
                return await WriteAsync(context, fault.Status, body, type);

            case PretendWixFaultKind.Redirect:
                context.Response.Headers.Location = "/_elsewhere";
                return await WriteAsync(context, StatusCodes.Status302Found, "", "application/json");

            case PretendWixFaultKind.MalformedJson:
                await WriteAsync(context, StatusCodes.Status200OK, """{"access_token":"OAUTH2.""", "application/json");
                return 0;

            case PretendWixFaultKind.MissingFields:
                await WriteAsync(context, StatusCodes.Status200OK, "{}", "application/json");
                return 0;

            case PretendWixFaultKind.Hang or PretendWixFaultKind.HangAfter:
                using (var gone = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, stopping))
                {
                    await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, gone.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                }

                context.Abort();
                return 0;

            default:
                context.Abort();
                return 0;
        }
    }

    private Task<int> AnswerAsync(HttpContext context, Answer answer)
    {
        if (answer.Status == StatusCodes.Status401Unauthorized)
        {
            context.Response.Headers.WWWAuthenticate = "Bearer";
        }

        return WriteAsync(context, answer.Status, answer.Body.ToJsonString(PretendWixJson.Options), "application/json");
    }

    private async Task<int> WriteAsync(HttpContext context, int status, string body, string type)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        context.Response.Headers.CacheControl = "no-store";
        context.Response.Headers["x-wix-request-id"] = RequestId();
        var bytes = BodyForms.Encode(context.Response, control.Switches.BodyForm, body);
        context.Response.ContentLength = bytes.Length;
        await context.Response.Body.WriteAsync(bytes, CancellationToken.None);
        return status;
    }

    // In the shape of the real ones (wix-protocol §12).
    private static string RequestId() =>
        string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{TimeProvider.System.GetUtcNow().ToUnixTimeSeconds()}.{Random.Shared.NextInt64(1_000_000_000, 9_999_999_999)}");

    private async Task<Call> ReadAsync(HttpRequest request)
    {
        JsonObject? body = null;
        if (request.HasJsonContentType() && request.ContentLength is not > MaxBody)
        {
            try
            {
                body = await JsonNode.ParseAsync(request.Body, cancellationToken: stopping) as JsonObject;
                _ = body?.Count; // Repeated members are found only when it is looked at.
            }
            catch (Exception e) when (e is JsonException or ArgumentException or BadHttpRequestException or IOException)
            {
                body = null;
            }
        }

        var authorization = request.Headers.Authorization.Count == 1 ? request.Headers.Authorization.ToString() : null;
        var call = new Call(body, authorization);
        call.Site = ledger.OwnerOf(authorization)
            ?? ledger.OwnerOf(call["code"])
            ?? ledger.OwnerOf(call["refresh_token"])
            ?? ledger.OwnerOf(call["token"])
            ?? (Guid.TryParseExact(call["instance_id"], "D", out var id) && ledger.TryGetSite(id, out var site) ? site : null);
        return call;
    }

    private Answer Access(Call call)
    {
        if (call.Missing("grant_type", "client_id", "client_secret") is { } missing)
        {
            return Invalid(missing);
        }

        if (!options.IsAppId(call["client_id"]))
        {
            return Rejected("app_id_not_found", "No app has this id.", control.Switches.WrongSecretStatus);
        }

        if (!control.IsAppSecret(call["client_secret"]))
        {
            return Rejected("invalid_client_secret", "The app's secret is another one.", control.Switches.WrongSecretStatus);
        }

        Refusal refusal;
        Site? site;
        string? refreshToken;
        switch (call.Grant)
        {
            case "authorization_code" when call.Missing("code") is null:
                refusal = ledger.Redeem(call["code"], out site, out refreshToken);
                break;
            case "authorization_code":
                return Invalid("code");
            case "refresh_token" when call.Missing("refresh_token") is null:
                refusal = ledger.Refresh(call["refresh_token"], out site, out refreshToken);
                break;
            case "refresh_token":
                return Invalid("refresh_token");
            default:
                return Invalid("grant_type");
        }

        if (refusal != Refusal.None)
        {
            return Rejected("invalid_token", $"Rejected: invalid_token ({refusal})", control.Switches.RejectionStatus);
        }

        var switches = control.Switches;
        var body = new JsonObject { ["access_token"] = ledger.IssueAccessToken(site!, switches.AccessTokenLifetime) };
        if (call.Grant == "authorization_code" || switches.RefreshTokenAnswer != RefreshTokenAnswer.None)
        {
            body["refresh_token"] = refreshToken;
        }

        if (switches.SendExpiresIn)
        {
            body["expires_in"] = (long)switches.AccessTokenLifetime.TotalSeconds;
        }

        return new(StatusCodes.Status200OK, body);
    }

    private Answer Token(Call call)
    {
        if (call.Missing("grant_type", "client_id", "client_secret", "instance_id") is { } missing)
        {
            return IetfError(StatusCodes.Status400BadRequest, "invalid_request", $"{missing} is missing.");
        }

        if (call.Grant != "client_credentials")
        {
            return IetfError(StatusCodes.Status400BadRequest, "unsupported_grant_type", "Only client_credentials.");
        }

        if (!options.IsAppId(call["client_id"]) || !control.IsAppSecret(call["client_secret"]))
        {
            return IetfError(StatusCodes.Status401Unauthorized, "invalid_client", "The app or its secret is another one.");
        }

        if (call.Site is not { } site || site.Snapshot().Status != PretendSiteStatus.Installed)
        {
            return IetfError(StatusCodes.Status400BadRequest, "invalid_grant", "The app is not installed there.");
        }

        var lifetime = control.Switches.ClientCredentialsLifetime;
        return new(StatusCodes.Status200OK, new JsonObject
        {
            ["access_token"] = ledger.IssueAccessToken(site, lifetime),
            ["token_type"] = "Bearer",
            ["expires_in"] = (long)lifetime.TotalSeconds,
        });
    }

    private Answer TokenInfo(Call call)
    {
        if (call.Missing("token") is not null)
        {
            return Invalid("token");
        }

        var real = control.Switches.TokenInfoHasRealTypes;
        var refusal = ledger.CheckAccessToken(call["token"], out var site, out var ticket);
        if (refusal == Refusal.Unknown)
        {
            // Wix's SDK asks about its refresh token (wix-protocol §12). One never ends (§5): no exp.
            refusal = ledger.CheckRefreshToken(call["token"], out site);
        }

        if (refusal != Refusal.None)
        {
            return new(StatusCodes.Status200OK, new JsonObject { ["active"] = real ? false : "false" }) { Detail = $"inactive ({refusal})" };
        }

        JsonNode Number(long milliseconds) =>
            real ? milliseconds / 1_000 : (milliseconds / 1_000).ToString(System.Globalization.CultureInfo.InvariantCulture);

        var info = new JsonObject
        {
            ["active"] = real ? true : "true",
            ["subjectType"] = "APP",
            ["subjectId"] = options.AppId,
            ["clientId"] = options.AppId,
            ["siteId"] = site!.SiteId.ToString(),
            ["instanceId"] = site.InstanceId.ToString(),
        };
        if (ticket is { Kind: TicketKind.Access })
        {
            info["exp"] = Number(ticket.UntilMs);
            info["iat"] = Number(ticket.IssuedMs);
        }

        return new(StatusCodes.Status200OK, info);
    }

    private Answer Instance(Call call)
    {
        if (!IsAuthorized(call, out var site, out var denied))
        {
            return denied;
        }

        var view = site.Snapshot();
        var instance = new JsonObject
        {
            ["instanceId"] = view.InstanceId.ToString(),
            ["appName"] = options.AppName,
            ["appVersion"] = view.AppVersion,
            ["isFree"] = true,
            ["permissions"] = new JsonArray("SCOPE.DC-APPS.MANAGE-YOUR-APP", "SCOPE.DC-STORES.READ-PRODUCTS"),
            ["copiedFromTemplate"] = false,
        };
        if (view.OriginInstanceId is { } origin)
        {
            instance["originInstanceId"] = origin.ToString();
        }

        return new(StatusCodes.Status200OK, new JsonObject
        {
            ["instance"] = instance,
            ["site"] = new JsonObject
            {
                ["siteId"] = view.SiteId.ToString(),
                ["siteDisplayName"] = view.Name,
                ["locale"] = "en",
                ["url"] = view.Url.AbsoluteUri,
                ["paymentCurrency"] = "EUR",
            },
        });
    }

    private Answer BiEvent(Call call)
    {
        if (!IsAuthorized(call, out var site, out var denied))
        {
            return denied;
        }

        if (call.Missing("eventName") is not null)
        {
            return Invalid("eventName");
        }

        if (call.Body?["eventData"] is { } data && (data is not JsonObject map || map.Any(pair => pair.Value?.GetValueKind() != JsonValueKind.String)))
        {
            return Invalid("eventData");
        }

        if (call["eventName"] == "APP_FINISHED_CONFIGURATION")
        {
            ledger.MarkSetUp(site);
        }

        return new(StatusCodes.Status200OK, []) { Detail = call["eventName"] };
    }

    private bool IsAuthorized(Call call, [NotNullWhen(true)] out Site? site, [NotNullWhen(false)] out Answer? denied)
    {
        var refusal = ledger.CheckAccessToken(call.Authorization, out site, out _);
        if (site is not null && refusal == Refusal.None)
        {
            denied = null;
            return true;
        }

        // Wix's examples carry no "Bearer" (wix-protocol §6): here it is a mistake, so that tests find it.
        var hint = call.Authorization?.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase) is true ? "send the token without Bearer" : refusal.ToString();
        denied = Rejected("UNAUTHENTICATED", $"No valid access token ({hint}).", StatusCodes.Status401Unauthorized);
        return false;
    }

    private static Answer Invalid(string field) => new(StatusCodes.Status400BadRequest, new JsonObject
    {
        ["message"] = $"{field} must not be empty or unknown",
        ["details"] = new JsonObject
        {
            ["validationError"] = new JsonObject
            {
                ["fieldViolations"] = new JsonArray(new JsonObject { ["field"] = field, ["description"] = "must not be empty or unknown" }),
            },
        },
    })
    { Detail = $"invalid {field}" };

    private Answer Rejected(string code, string description, int status) => new(status, control.Switches.OldErrorShape
        ? new JsonObject { ["errorCode"] = -19_988, ["errorDescription"] = $"{description} {code}" }
        : new JsonObject
        {
            ["message"] = description,
            ["details"] = new JsonObject
            {
                ["applicationError"] = new JsonObject { ["code"] = code, ["description"] = description, ["data"] = new JsonObject() },
            },
        })
    { Detail = description };

    private static Answer IetfError(int status, string error, string description) =>
        new(status, new JsonObject { ["error"] = error, ["error_description"] = description }) { Detail = error };

    private sealed class Call(JsonObject? body, string? authorization)
    {
        public JsonObject? Body => body;

        public string? Authorization => authorization;

        public string? Grant => this["grant_type"];

        public Site? Site { get; set; }

        public string? this[string field] => body?[field] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

        public string? Missing(params ReadOnlySpan<string> fields)
        {
            foreach (var field in fields)
            {
                if (string.IsNullOrEmpty(this[field]))
                {
                    return field;
                }
            }

            return null;
        }
    }

    private sealed record Answer(int Status, JsonObject Body)
    {
        public string? Detail { get; init; }
    }
}

using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace WixOAuth.PretendWix;

/// <summary>Wix's API, as far as an app like ours calls it (wix-protocol §5, §6 and §8).</summary>
internal sealed class WixApi(WixState wix, PretendWixOptions options, PretendWixControl control, ApiCalls calls)
{
    public void Map(WebApplication app)
    {
        app.MapPost("/oauth/access", context => calls.ServeAsync(context, PretendWixEndpoints.Access, Access));
        app.MapPost("/oauth2/token", context => calls.ServeAsync(context, PretendWixEndpoints.Token, Token));
        app.MapPost("/oauth2/token-info", context => calls.ServeAsync(context, PretendWixEndpoints.TokenInfo, TokenInfo));
        app.MapGet("/apps/v1/instance", context => calls.ServeAsync(context, PretendWixEndpoints.Instance, Instance));
        app.MapPost("/apps/v1/bi-event", context => calls.ServeAsync(context, PretendWixEndpoints.BiEvent, BiEvent));
        app.Map("/_elsewhere", () =>
        {
            control.WentElsewhere();
            return Results.Text("{}", "application/json");
        });
    }

    private ApiAnswer Access(ApiCall call)
    {
        if (call.Missing("grant_type", "client_id", "client_secret") is { } missing)
        {
            return ApiAnswer.Invalid(missing);
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
                refusal = wix.Redeem(call["code"], out site, out refreshToken);
                break;
            case "authorization_code":
                return ApiAnswer.Invalid("code");
            case "refresh_token" when call.Missing("refresh_token") is null:
                refusal = wix.Refresh(call["refresh_token"], out site, out refreshToken);
                break;
            case "refresh_token":
                return ApiAnswer.Invalid("refresh_token");
            default:
                return ApiAnswer.Invalid("grant_type");
        }

        if (refusal != Refusal.None)
        {
            return Rejected("invalid_token", $"Rejected: invalid_token ({refusal})", control.Switches.RejectionStatus);
        }

        var switches = control.Switches;
        var body = new JsonObject { ["access_token"] = wix.IssueAccessToken(site!, switches.AccessTokenLifetime) };
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

    private ApiAnswer Token(ApiCall call)
    {
        if (call.Missing("grant_type", "client_id", "client_secret", "instance_id") is { } missing)
        {
            return ApiAnswer.IetfError(StatusCodes.Status400BadRequest, "invalid_request", $"{missing} is missing.");
        }

        if (call.Grant != "client_credentials")
        {
            return ApiAnswer.IetfError(StatusCodes.Status400BadRequest, "unsupported_grant_type", "Only client_credentials.");
        }

        if (!options.IsAppId(call["client_id"]) || !control.IsAppSecret(call["client_secret"]))
        {
            return ApiAnswer.IetfError(StatusCodes.Status401Unauthorized, "invalid_client", "The app or its secret is another one.");
        }

        if (call.Site is not { } site || site.Snapshot().Status != PretendSiteStatus.Installed)
        {
            return ApiAnswer.IetfError(StatusCodes.Status400BadRequest, "invalid_grant", "The app is not installed there.");
        }

        var lifetime = control.Switches.ClientCredentialsLifetime;
        return new(StatusCodes.Status200OK, new JsonObject
        {
            ["access_token"] = wix.IssueAccessToken(site, lifetime),
            ["token_type"] = "Bearer",
            ["expires_in"] = (long)lifetime.TotalSeconds,
        });
    }

    private ApiAnswer TokenInfo(ApiCall call)
    {
        if (call.Missing("token") is not null)
        {
            return ApiAnswer.Invalid("token");
        }

        var real = control.Switches.TokenInfoHasRealTypes;
        var refusal = wix.CheckAccessToken(call["token"], out var site, out var issued);
        if (refusal == Refusal.Unknown)
        {
            // Wix's SDK asks about its refresh token (wix-protocol §12). One never ends (§5): no exp.
            refusal = wix.CheckRefreshToken(call["token"], out site);
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
        if (issued is { Kind: IssuedTextKind.Access })
        {
            info["exp"] = Number(issued.UntilMs);
            info["iat"] = Number(issued.IssuedMs);
        }

        return new(StatusCodes.Status200OK, info);
    }

    private ApiAnswer Instance(ApiCall call)
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

    private ApiAnswer BiEvent(ApiCall call)
    {
        if (!IsAuthorized(call, out var site, out var denied))
        {
            return denied;
        }

        if (call.Missing("eventName") is not null)
        {
            return ApiAnswer.Invalid("eventName");
        }

        if (call.Body?["eventData"] is { } data && (data is not JsonObject map || map.Any(pair => pair.Value?.GetValueKind() != JsonValueKind.String)))
        {
            return ApiAnswer.Invalid("eventData");
        }

        if (call["eventName"] == "APP_FINISHED_CONFIGURATION")
        {
            wix.MarkSetUp(site);
        }

        return new(StatusCodes.Status200OK, []) { Detail = call["eventName"] };
    }

    private bool IsAuthorized(ApiCall call, [NotNullWhen(true)] out Site? site, [NotNullWhen(false)] out ApiAnswer? denied)
    {
        var refusal = wix.CheckAccessToken(call.Authorization, out site, out _);
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

    private ApiAnswer Rejected(string code, string description, int status) =>
        ApiAnswer.Rejected(control.Switches.OldErrorShape, code, description, status);
}

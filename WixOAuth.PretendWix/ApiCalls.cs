using System.Text.Json;
using System.Text.Json.Nodes;

namespace WixOAuth.PretendWix;

/// <summary>Serves calls of Wix's API: reads them, counts them, and answers as the endpoint says or as a fault is set.</summary>
internal sealed class ApiCalls(WixState wix, PretendWixControl control, ILogger logger, CancellationToken stopping)
{
    private const long MaxBody = 64 * 1024;

    public async Task ServeAsync(HttpContext context, string endpoint, Func<ApiCall, ApiAnswer> act)
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

    private Task<int> AnswerAsync(HttpContext context, ApiAnswer answer)
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

    private async Task<ApiCall> ReadAsync(HttpRequest request)
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
        var call = new ApiCall(body, authorization);
        call.Site = wix.OwnerOf(authorization)
            ?? wix.OwnerOf(call["code"])
            ?? wix.OwnerOf(call["refresh_token"])
            ?? wix.OwnerOf(call["token"])
            ?? (Guid.TryParseExact(call["instance_id"], "D", out var id) && wix.TryGetSite(id, out var site) ? site : null);
        return call;
    }
}

using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Secrets;

namespace WixOAuth.Http;

internal sealed class ImportEndpoint(InstanceImport import, TimeProvider time, ILogger<ImportEndpoint> logger)
{
    public Task<IResult> ImportInstance(HttpRequest request, string instanceId, CancellationToken cancellationToken) => logger.GuardInstanceAsync(request, instanceId, async id =>
    {
        if (request.Query["revive"] is not ([] or ["" or "true" or "false"]))
        {
            return Problems.InvalidRequest("revive should be true or false.");
        }

        if (await ReadAsync(request, cancellationToken) is not { } body)
        {
            return Problems.InvalidRequest(
                $"The body should be JSON with refresh_token, customer (1 to {InstanceEndpoints.MaxNameLength} characters) and consented_at (RFC 3339 with its offset, from 1970 to now), all optional.");
        }

        var site = new ImportedSite(body.Customer, body.ConsentedAt, request.Query["revive"] == "true", Site: null, AppVersion: null);
        var token = body.RefreshToken is { } text ? new RefreshToken(text) : null;
        return Answer(id, await import.ImportAsync(id, token, site, cancellationToken));
    }, ["revive"]);

    private static IResult Answer(InstanceId id, ImportResult result) => result.Outcome switch
    {
        ImportOutcome.Removed => Problems.AppRemoved(),
        ImportOutcome.Rejected => Problems.ImportRejected(),
        ImportOutcome.TokenRequired => Problems.InvalidRequest("refresh_token should be given: the settings forbid client credentials."),
        ImportOutcome.WixUnavailable => Problems.WixUnavailable(result.RetryAfter),
        ImportOutcome.Imported => new JsonAnswer<ImportBody>(new ImportBody(id.ToString(), "imported"), Json.Default.ImportBody, StatusCodes.Status201Created),
        var outcome => new JsonAnswer<ImportBody>(new ImportBody(id.ToString(), SnakeCaseEnum.Of(outcome)), Json.Default.ImportBody),
    };

    private async Task<ImportRequestBody?> ReadAsync(HttpRequest request, CancellationToken cancellationToken) =>
        await BodyReader.ReadJsonAsync(request, Json.Default.ImportRequestBody, cancellationToken) is { } body
        && (body.RefreshToken is null || IsToken(body.RefreshToken))
        && (body.Customer is null || InstanceEndpoints.IsName(body.Customer))
        && !(body.ConsentedAt < DateTimeOffset.UnixEpoch || body.ConsentedAt > time.GetUtcNow() + Instance.WixClockTolerance)
            ? body
            : null;

    /// <summary>Whether a text can be a refresh token.</summary>
    public static bool IsToken(string text) => text.Length > 0 && text.All(c => c is > ' ' and <= '~');
}

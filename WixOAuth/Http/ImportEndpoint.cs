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
        if (!Parameters.TryReadAll(request, ["revive"], out var values, out var refusal))
        {
            return refusal;
        }

        if (values["revive"] is not (null or "true" or "false"))
        {
            return Problems.InvalidRequest("revive should be true or false.");
        }

        if (await ReadAsync(request, cancellationToken) is not { } body)
        {
            return Problems.InvalidRequest(
                $"The body should be JSON with refresh_token, customer (1 to {CustomerEndpoints.MaxNameLength} characters) and consented_at (RFC 3339 with its offset, from 1970 to now), all optional.");
        }

        var site = new ImportedSite(body.Customer, body.ConsentedAt, values["revive"] == "true", Site: null, AppVersion: null);
        var token = body.RefreshToken is { } text ? new RefreshToken(text) : null;
        return Answer(id, await import.ImportAsync(id, token, site, cancellationToken));
    }, ["revive"]);

    private static IResult Answer(InstanceId id, ImportResult result) => result switch
    {
        ImportResult.Done { Outcome: ImportOutcome.Removed } => Problems.AppRemoved(),
        ImportResult.Done { Outcome: ImportOutcome.Imported } => new JsonAnswer<ImportBody>(
            new ImportBody(id.ToString(), SnakeCaseEnum.Of(ImportOutcome.Imported)), Json.Default.ImportBody, StatusCodes.Status201Created),
        ImportResult.Done { Outcome: var outcome } => new JsonAnswer<ImportBody>(new ImportBody(id.ToString(), SnakeCaseEnum.Of(outcome)), Json.Default.ImportBody),
        ImportResult.TokenRequired => Problems.InvalidRequest("refresh_token should be given: the settings forbid client credentials."),
        ImportResult.WixUnavailable { RetryAfter: var wait } => Problems.WixUnavailable(wait),
        _ => Problems.ImportRejected(),
    };

    private async Task<ImportRequestBody?> ReadAsync(HttpRequest request, CancellationToken cancellationToken) =>
        await BodyReader.ReadJsonAsync(request, Json.Default.ImportRequestBody, cancellationToken) is { } body
        && (body.RefreshToken is null || IsToken(body.RefreshToken))
        && (body.Customer is null || CustomerEndpoints.IsName(body.Customer))
        && !(body.ConsentedAt < DateTimeOffset.UnixEpoch || body.ConsentedAt > time.GetUtcNow() + Instance.WixClockTolerance)
            ? body
            : null;

    /// <summary>Whether a text can be a refresh token.</summary>
    public static bool IsToken(string text) => text.Length > 0 && text.All(c => c is > ' ' and <= '~');
}

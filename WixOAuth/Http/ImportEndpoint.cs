using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Secrets;

namespace WixOAuth.Http;

/// <summary>Imports as HTTP. Nothing is ever thrown to the host.</summary>
public sealed class ImportEndpoint(InstanceImport import, TimeProvider time, ILogger<ImportEndpoint> logger)
{
    private const int MaxRequest = 32 * 1024;
    private const int MaxCustomer = 200;
    private const int MaxToken = 16 * 1024;

    /// <summary><c>PUT /api/instances/{instanceId}</c>: see the contract's <c>ImportInstance</c>.</summary>
    public Task<IResult> ImportInstance(HttpRequest request, string instanceId, CancellationToken cancellationToken) => logger.GuardAsync(async () =>
    {
        if (!InstanceId.TryParse(instanceId, out var id))
        {
            return Problems.InvalidRequest("The instance id should be a GUID as Wix writes it.");
        }

        if (!Parameters.TryRead(request, ["revive"], out var values) || values[0] is not (null or "true" or "false"))
        {
            return Problems.InvalidRequest("revive should be true or false, and come once at most.");
        }

        if (await ReadAsync(request, cancellationToken) is not { } body)
        {
            return Problems.InvalidRequest(
                "The body should be JSON with refresh_token, customer (1 to 200 characters) and consented_at (RFC 3339, not in the future), all optional.");
        }

        var site = new ImportedSite(body.Customer, body.ConsentedAt, values[0] == "true", Site: null, AppVersion: null);
        var token = body.RefreshToken is { } text ? new RefreshToken(text) : null;
        return Answer(id, await import.ImportAsync(id, token, site, cancellationToken));
    });

    private static IResult Answer(InstanceId id, ImportResult result) => result switch
    {
        ImportResult.Done { Outcome: ImportOutcome.Removed } => Problems.Of(new Tokens.TokenResult.Removed()),
        ImportResult.Done { Outcome: var outcome } => new JsonAnswer<ImportBody>(
            outcome == ImportOutcome.Imported ? StatusCodes.Status201Created : StatusCodes.Status200OK,
            new ImportBody(id.ToString(), Words.Of(outcome)),
            Json.Default.ImportBody),
        ImportResult.TokenRequired => Problems.InvalidRequest("refresh_token should be given: the settings forbid client credentials."),
        ImportResult.WixUnavailable { RetryAfter: var wait } => Problems.WixUnavailable(wait),
        _ => Problems.ImportRejected(),
    };

    private async Task<ImportRequestBody?> ReadAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var buffer = new byte[MaxRequest + 1];
        try
        {
            var length = await request.Body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken);
            var body = length is 0 or > MaxRequest ? null : JsonSerializer.Deserialize(buffer.AsSpan(0, length), Json.Default.ImportRequestBody);
            return body is not null && IsToken(body.RefreshToken) && IsCustomer(body.Customer) && !(body.ConsentedAt > time.GetUtcNow() + Instance.WixClockTolerance) ? body : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or IOException)
        {
            // The last one: a body that breaks off or breaks HTTP's rules.
            return null;
        }
    }

    private static bool IsToken(string? text) => text is null || (text.Length is > 0 and <= MaxToken && text.All(c => c is > ' ' and <= '~'));

    private static bool IsCustomer(string? text) => text is null || (text.Length is > 0 and <= MaxCustomer && !text.Any(char.IsControl) && !string.IsNullOrWhiteSpace(text));
}

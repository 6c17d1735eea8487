using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Tokens;

namespace WixOAuth.Http;

/// <summary>Tokens as HTTP, for our own apps. Nothing is ever thrown to the host.</summary>
internal sealed class TokenEndpoints(TokenService tokenService, TimeProvider time, ILogger<TokenEndpoints> logger)
{
    /// <summary><c>GET /api/instances/{instanceId}/token</c>: see the contract's <c>GetToken</c>.</summary>
    public Task<IResult> GetToken(HttpRequest request, string instanceId, CancellationToken cancellationToken) => logger.GuardAsync(async () =>
    {
        if (Parameters.RefuseUnknown(request, "min_ttl", "rejected") is { } refusal)
        {
            return refusal;
        }

        if (!InstanceId.TryParse(instanceId, out var id))
        {
            return Problems.InvalidInstanceId();
        }

        if (!TryReadMinTtl(request, out var minTtl))
        {
            return Problems.InvalidRequest("min_ttl should be a whole number of seconds from 0 to 240.");
        }

        if (!TryReadRejected(request, out var rejected))
        {
            return Problems.InvalidRequest("rejected should be the SHA-256 of a token, as 64 hexadecimal digits.");
        }

        var requirements = minTtl is null && rejected is null
            ? TokenRequirements.Default
            : TokenRequirements.LivingFor(minTtl ?? TokenRequirements.DefaultMinTtl, rejected);
        return await tokenService.GetTokenAsync(id, requirements, cancellationToken) is var result && result is TokenResult.Token token
            ? new JsonAnswer<TokenBody>(BodyOf(token), Json.Default.TokenBody)
            : Problems.Of(result);
    });

    /// <summary><c>POST /api/instances/{instanceId}/refresh</c>: see the contract's <c>RefreshInstance</c>.</summary>
    public Task<IResult> RefreshInstance(HttpRequest request, string instanceId, CancellationToken cancellationToken) => logger.GuardAsync(async () =>
    {
        if (Parameters.RefuseUnknown(request) is { } refusal)
        {
            return refusal;
        }

        if (!InstanceId.TryParse(instanceId, out var id))
        {
            return Problems.InvalidInstanceId();
        }

        var result = await tokenService.GetTokenAsync(id, TokenRequirements.New, cancellationToken);
        return result is TokenResult.Token ? new EmptyAnswer(StatusCodes.Status204NoContent) : Problems.Of(result);
    });

    private TokenBody BodyOf(TokenResult.Token token) => new(
        token.InstanceId.ToString(),
        token.AccessToken.Reveal(),
        Math.Max(0, (long)(token.ExpiresOn - time.GetUtcNow()).TotalSeconds),
        token.ExpiresOn);

    private static bool TryReadMinTtl(HttpRequest request, out TimeSpan? minTtl)
    {
        minTtl = null;
        var values = request.Query["min_ttl"];
        if (values.Count == 0)
        {
            return true;
        }

        if (values.Count == 1
            && int.TryParse(values[0], NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
            && seconds <= TokenRequirements.MaxMinTtl.TotalSeconds)
        {
            minTtl = TimeSpan.FromSeconds(seconds);
            return true;
        }

        return false;
    }

    private static bool TryReadRejected(HttpRequest request, out string? rejected)
    {
        var values = request.Query["rejected"];
        rejected = values.Count == 1 && values[0] is { Length: 64 } text && text.All(char.IsAsciiHexDigit) ? text.ToLowerInvariant() : null;
        return values.Count == 0 || rejected is not null;
    }
}

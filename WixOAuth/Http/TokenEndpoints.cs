using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Tokens;

namespace WixOAuth.Http;

internal sealed class TokenEndpoints(TokenService tokenService, TimeProvider time, ILogger<TokenEndpoints> logger)
{
    public Task<IResult> GetToken(HttpRequest request, string instanceId, CancellationToken cancellationToken) => logger.GuardInstanceAsync(request, instanceId, async id =>
    {
        var minTtl = TokenRequirements.DefaultMinTtl;
        if (request.Query["min_ttl"] is { Count: > 0 } ttls)
        {
            if (ttls is not [var number]
                || !int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
                || seconds > TokenRequirements.MaxMinTtl.TotalSeconds)
            {
                return Problems.InvalidRequest("min_ttl should be a whole number of seconds from 0 to 240.");
            }

            minTtl = TimeSpan.FromSeconds(seconds);
        }

        string? rejected = null;
        if (request.Query["rejected"] is { Count: > 0 } hashes)
        {
            if (hashes is not [{ Length: 64 } hash] || !hash.All(char.IsAsciiHexDigit))
            {
                return Problems.InvalidRequest("rejected should be the SHA-256 of a token, as 64 hexadecimal digits.");
            }

            rejected = hash.ToLowerInvariant();
        }

        return await tokenService.GetTokenAsync(id, TokenRequirements.LivingFor(minTtl, rejected), cancellationToken) is var result && result is TokenResult.Token token
            ? new JsonAnswer<TokenBody>(BodyOf(token), Json.Default.TokenBody)
            : Problems.Of(result);
    }, ["min_ttl", "rejected"]);

    public Task<IResult> RefreshInstance(HttpRequest request, string instanceId, CancellationToken cancellationToken) =>
        logger.GuardInstanceAsync(request, instanceId, async id =>
            await tokenService.GetTokenAsync(id, TokenRequirements.New, cancellationToken) is var result && result is TokenResult.Token
                ? new EmptyAnswer(StatusCodes.Status204NoContent)
                : Problems.Of(result));

    private TokenBody BodyOf(TokenResult.Token token) => new(
        token.InstanceId.ToString(),
        token.AccessToken.Reveal(),
        Math.Max(0, (long)(token.ExpiresOn - time.GetUtcNow()).TotalSeconds),
        token.ExpiresOn);
}

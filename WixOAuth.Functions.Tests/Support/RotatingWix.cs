using System.Collections.Concurrent;
using System.Text.Json;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>
/// A Wix that is as strict as the standard allows: each refresh token is good for one use and brings the next (RFC 6749
/// §6). Wix documents neither, so a token service must not lose one.
/// </summary>
internal sealed class RotatingWix
{
    private readonly ConcurrentDictionary<string, byte> _accepted = new(StringComparer.Ordinal);
    private int _issued;
    private int _refreshes;

    /// <summary>How many refresh tokens were used.</summary>
    public int Refreshes => Volatile.Read(ref _refreshes);

    /// <summary>Whether using one refresh token ends it.</summary>
    public bool Rotates { get; set; } = true;

    /// <summary>How long access tokens live.</summary>
    public TimeSpan Lifetime { get; set; } = TimeSpan.FromMinutes(5);

    public bool Accepts(string? refreshToken) => refreshToken is not null && _accepted.ContainsKey(refreshToken);

    /// <summary>What a new consent brings.</summary>
    public (string Access, string Refresh) Consent()
    {
        var number = Interlocked.Increment(ref _issued);
        var refresh = $"refresh-{number}";
        _accepted[refresh] = 0;
        return ($"access-{number}", refresh);
    }

    public HttpResponseMessage Answer(string path, JsonElement? body)
    {
        if (path == "/oauth2/token")
        {
            return StubWix.Tokens($"minted-{Interlocked.Increment(ref _issued)}", expiresIn: (int)Lifetime.TotalSeconds);
        }

        var refresh = body!.Value.GetProperty("refresh_token").GetString()!;
        if (Rotates ? !_accepted.TryRemove(refresh, out _) : !_accepted.ContainsKey(refresh))
        {
            return StubWix.Status(400);
        }

        Interlocked.Increment(ref _refreshes);
        var (access, next) = Rotates ? Consent() : ($"access-{Interlocked.Increment(ref _issued)}", null);
        return StubWix.Tokens(access, next, (int)Lifetime.TotalSeconds);
    }
}

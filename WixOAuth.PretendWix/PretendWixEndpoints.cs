namespace WixOAuth.PretendWix;

/// <summary>The names by which control speaks of the API's endpoints.</summary>
public static class PretendWixEndpoints
{
    /// <summary><c>POST /oauth/access</c> (wix-protocol §5).</summary>
    public const string Access = "access";

    /// <summary><c>POST /oauth2/token</c> (wix-protocol §8).</summary>
    public const string Token = "token";

    /// <summary><c>POST /oauth2/token-info</c> (wix-protocol §8).</summary>
    public const string TokenInfo = "token-info";

    /// <summary><c>GET /apps/v1/instance</c> (wix-protocol §6).</summary>
    public const string Instance = "instance";

    /// <summary><c>POST /apps/v1/bi-event</c> (wix-protocol §6).</summary>
    public const string BiEvent = "bi-event";

    internal static readonly string[] Names = [Access, Token, TokenInfo, Instance, BiEvent];

    internal static int IndexOf(string endpoint)
    {
        var index = Array.IndexOf(Names, endpoint);
        return index >= 0 ? index : throw new ArgumentException($"'{endpoint}' is none of {string.Join(", ", Names)}.", nameof(endpoint));
    }
}

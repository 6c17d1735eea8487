using Microsoft.Extensions.Options;

namespace WixOAuth.Client;

/// <summary>Where the WixOAuth service is and how to sign in to it. Validated when the host starts.</summary>
public sealed class WixOAuthClientOptions
{
    /// <summary>The service's address, with or without <c>/api</c>. https; http is accepted on localhost only.</summary>
    public Uri? Url { get; set; }

    /// <summary>The function key, sent in the header <c>x-functions-key</c>.</summary>
    public string? Key { get; set; }

    /// <summary>
    /// Returns an Entra ID access token for a service with Easy Auth in front, sent as <c>Authorization: Bearer</c>. Called
    /// once for each request to the service: let it cache. The function key is still needed unless the service asks for none.
    /// </summary>
    public Func<CancellationToken, ValueTask<string>>? GetEntraToken { get; set; }

    internal Uri ApiUrl
    {
        get
        {
            // Not relative to the address: a path that begins with two slashes would name another host.
            var path = Url!.AbsolutePath.Trim('/');
            var isApi = $"/{path}".EndsWith("/api", StringComparison.OrdinalIgnoreCase);
            return new UriBuilder(Url) { Path = isApi ? $"{path}/" : $"{path}/api/", Query = "", Fragment = "" }.Uri;
        }
    }

    /// <summary>Never the key.</summary>
    public override string ToString() => Url?.GetLeftPart(UriPartial.Path) ?? "";
}

internal sealed class WixOAuthClientOptionsValidator : IValidateOptions<WixOAuthClientOptions>
{
    public ValidateOptionsResult Validate(string? name, WixOAuthClientOptions options)
    {
        List<string> problems = [];
        if (options.Url is not { IsAbsoluteUri: true } url || !IsSafe(url))
        {
            problems.Add($"{nameof(options.Url)} must be an absolute https URL; http is accepted on localhost only.");
        }

        if (string.IsNullOrEmpty(options.Key) && options.GetEntraToken is null)
        {
            problems.Add($"{nameof(options.Key)} or {nameof(options.GetEntraToken)} is required.");
        }

        if (options.Key?.Any(c => c is < ' ' or > '~') == true)
        {
            problems.Add($"{nameof(options.Key)} has a character that a header cannot hold.");
        }

        return problems.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(problems);
    }

    /// <summary>Whether a secret may be sent there.</summary>
    internal static bool IsSafe(Uri url) => url.Scheme == Uri.UriSchemeHttps || (url.Scheme == Uri.UriSchemeHttp && url.IsLoopback);
}

using System.Text.Json.Serialization;
using WixOAuth.Secrets;

namespace WixOAuth.Install;

/// <summary>Why an install cannot go on. Each has its own page, with a way to start again; docs/http-api.md, Pages, says when.</summary>
internal enum InstallProblem
{
    BadRequest,
    BadLink,
    CrossSite,
    NotConsented,
    [JsonStringEnumMemberName("foreign_state")]
    InvalidState,
    ExpiredState,
    ReplayedState,
    BadInstance,
    Rejected,
    WixUnavailable,
    StorageUnavailable,
    Busy,
    Unexpected,
}

/// <summary>What the browser is to do next.</summary>
internal abstract record InstallResult
{
    private InstallResult()
    {
    }

    /// <summary>Ask the bearer of an install link whether to go on. The customer's name comes from outside.</summary>
    public sealed record Confirm(string Start, string Customer) : InstallResult
    {
        /// <summary>Nothing of the link, which lets its bearer install for the customer.</summary>
        public override string ToString() => nameof(Confirm);
    }

    /// <summary>The install link was already confirmed in this browser. The user can start again.</summary>
    public sealed record UsedHere : InstallResult;

    /// <summary>
    /// Go on to Wix's consent page: set the cookie that binds this install to the browser, and remove those that are of no
    /// use any more.
    /// </summary>
    public sealed record Consent(BrowserUrl Url, InstallCookie Set, IReadOnlyList<string> Removed) : InstallResult;

    /// <summary>Go on to Wix's close-window page: the tokens are saved. The browser has to replace its cookies by the finished ones.</summary>
    public sealed record CloseWindow(BrowserUrl Url, IReadOnlyList<InstallCookie> Finished) : InstallResult;

    /// <summary>The install was finished before, and its close-window page is of no use any more.</summary>
    public sealed record Connected : InstallResult;

    public sealed record Stopped(InstallProblem Problem) : InstallResult
    {
        /// <summary>Whether this only repeats the outcome of an earlier load, which anybody can cause any number of times.</summary>
        public bool IsRepeated { get; init; }
    }
}

/// <summary>A URL that a browser is sent to and that holds a secret.</summary>
internal sealed class BrowserUrl(string text) : SecretText(text);

/// <summary>A cookie of the handshake. Its name holds no secret, its value is encrypted.</summary>
internal sealed record InstallCookie(string Name, string Value, TimeSpan MaxAge)
{
    /// <summary>The name only: the value lets its bearer finish an install.</summary>
    public override string ToString() => Name;
}

/// <summary>
/// What came to the Redirect URL (wix-protocol §4); null for what did not come. The instance id is not to be trusted before
/// Wix confirmed it.
/// </summary>
internal sealed record RedirectRequest(
    AuthorizationCode? Code, string? State, string? InstanceId, bool HasError, IReadOnlyList<KeyValuePair<string, string>> Cookies)
{
    public override string ToString() => nameof(RedirectRequest);
}

/// <summary>What Wix hands to the App URL and wants back, as it is, at the consent page (wix-protocol §2).</summary>
internal sealed class InstallToken(string text) : SecretText(text);

using System.Text.Json.Serialization;
using WixOAuth.Secrets;

namespace WixOAuth.Install;

/// <summary>Why an install cannot go on. Each has its own page, with a way to start again.</summary>
internal enum InstallProblem
{
    /// <summary>A parameter came twice, is longer than anything Wix sends, or cannot be what it should be.</summary>
    BadRequest,

    /// <summary>The install link is not valid, is over half an hour old, or was used before.</summary>
    BadLink,

    /// <summary>The button of a link's page was pressed by another page than ours.</summary>
    CrossSite,

    /// <summary>No code came: the owner said no, or Wix sent an <c>error</c> (RFC 6749 §4.1.2.1).</summary>
    NotConsented,

    /// <summary>The state is missing, not ours, or of another browser.</summary>
    [JsonStringEnumMemberName("foreign_state")]
    InvalidState,

    /// <summary>The state is over ten minutes old.</summary>
    ExpiredState,

    /// <summary>The state was used before, with another code or instance.</summary>
    ReplayedState,

    /// <summary>No instance was named.</summary>
    BadInstance,

    /// <summary>Wix did not take the code, or its token belongs to another instance or app.</summary>
    Rejected,

    /// <summary>Wix could not be asked, or gave no clear answer: whether the code was spent is unknown.</summary>
    WixUnavailable,

    /// <summary>The storage or the keys cannot be reached.</summary>
    StorageUnavailable,

    /// <summary>Too many installs at once; nothing was spent.</summary>
    Busy,

    /// <summary>An unexpected error in this service.</summary>
    Unexpected,
}

/// <summary>What the browser is to do next.</summary>
internal abstract record InstallResult
{
    private InstallResult()
    {
    }

    /// <summary>Ask the bearer of an install link whether to go on.</summary>
    /// <param name="Start">The link.</param>
    /// <param name="Customer">Whom the site is to be connected to, for people. Text from outside.</param>
    public sealed record Confirm(string Start, string Customer) : InstallResult
    {
        /// <summary>Nothing of the link, which lets its bearer install for the customer.</summary>
        public override string ToString() => nameof(Confirm);
    }

    /// <summary>The install link was confirmed in this browser before, which can start again.</summary>
    public sealed record UsedHere : InstallResult;

    /// <summary>Go on to Wix's consent page.</summary>
    /// <param name="Url">The page, with secrets in its query: for the browser only.</param>
    /// <param name="Set">The cookie to bind this install to the browser with.</param>
    /// <param name="Removed">The names of cookies that are of no use any more.</param>
    public sealed record Consent(BrowserUrl Url, InstallCookie Set, IReadOnlyList<string> Removed) : InstallResult;

    /// <summary>Go on to Wix's close-window page: the tokens are saved.</summary>
    /// <param name="Url">The page, with the access token in its query: for the browser only.</param>
    /// <param name="Finished">Cookies in whose place the browser has to keep these.</param>
    public sealed record CloseWindow(BrowserUrl Url, IReadOnlyList<InstallCookie> Finished) : InstallResult;

    /// <summary>The install was finished before, and its close-window page is of no use any more.</summary>
    public sealed record Connected : InstallResult;

    /// <summary>The install cannot go on.</summary>
    /// <param name="Problem">Why.</param>
    public sealed record Stopped(InstallProblem Problem) : InstallResult;
}

/// <summary>A URL that a browser is sent to and that holds a secret.</summary>
/// <param name="text">The URL.</param>
internal sealed class BrowserUrl(string text) : SecretText(text);

/// <summary>A cookie of the handshake.</summary>
/// <param name="Name">Its name; holds no secret.</param>
/// <param name="Value">Its value; encrypted.</param>
/// <param name="MaxAge">How long the browser keeps it.</param>
internal sealed record InstallCookie(string Name, string Value, TimeSpan MaxAge)
{
    /// <summary>The name only: the value lets its bearer finish an install.</summary>
    public override string ToString() => Name;
}

/// <summary>What came to the App URL; null for what did not come.</summary>
/// <param name="Token">Wix's token, to be handed back to Wix as it is (wix-protocol §2).</param>
/// <param name="Start">What <c>CreateInstallLink</c> made.</param>
/// <param name="Cookies">The browser's cookies.</param>
internal sealed record AppUrlRequest(InstallToken? Token, string? Start, IReadOnlyList<KeyValuePair<string, string>> Cookies)
{
    /// <summary>Nothing of what it holds.</summary>
    public override string ToString() => nameof(AppUrlRequest);
}

/// <summary>What came to the Redirect URL; null for what did not come.</summary>
/// <param name="Code">The code (wix-protocol §4).</param>
/// <param name="State">The state.</param>
/// <param name="InstanceId">The instance, not to be trusted before Wix confirmed it.</param>
/// <param name="HasError">Whether an <c>error</c> came.</param>
/// <param name="Cookies">The browser's cookies.</param>
internal sealed record RedirectRequest(
    AuthorizationCode? Code, string? State, string? InstanceId, bool HasError, IReadOnlyList<KeyValuePair<string, string>> Cookies)
{
    /// <summary>Nothing of what it holds.</summary>
    public override string ToString() => nameof(RedirectRequest);
}

/// <summary>What Wix hands to the App URL and wants back at the consent page (wix-protocol §2).</summary>
/// <param name="text">The token as Wix sent it.</param>
internal sealed class InstallToken(string text) : SecretText(text);

namespace WixOAuth.Pages;

/// <summary>
/// The operators' page. <see cref="StatusShell"/> holds no data: its script asks for a key and puts in what
/// <see cref="StatusView"/> rendered.
/// </summary>
internal static class StatusPage
{
    public static Asset Style { get; } = new("status.css");

    public static Asset Script { get; } = new("status.js");

    /// <summary>The policy of the shell and of what it shows: never framed, one style sheet and one script, both its own.</summary>
    public static string ContentSecurityPolicy { get; } =
        $"default-src 'none'; style-src {Style.Source}; script-src {Script.Source}; connect-src 'self'; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    /// <summary>The list of active instances whose last refresh failed.</summary>
    public const string Failing = "failing";

    /// <summary>What the page can list, by its words: all (no word), those of a status, those that fail.</summary>
    public static IReadOnlyList<string> Lists { get; } = ["", "active", Failing, "reinstall_required", "removed"];
}

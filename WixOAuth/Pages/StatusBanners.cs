namespace WixOAuth.Pages;

/// <summary>
/// A banner for each trouble of the whole service, with what to do: site by site it would look as if every owner had to
/// install the app again.
/// </summary>
internal static class StatusBanners
{
    /// <summary>The app secret or the protection keys cannot be used.</summary>
    public const string Secrets = "secrets";

    /// <summary>Events are parked.</summary>
    public const string EventsParked = "events_parked";

    // The line below the totals says how many sites are on fallback, and nothing is to be done at once.
    private static readonly (string Word, Html Text)[] s_banners =
    [
        (Secrets, Html.Of($"""
            <b>The app secret or a protection key cannot be used.</b> No token can be had from Wix, or none be stored; nothing is lost. Look at the
            access to Key Vault and at the names of the secrets: “key-vault-denied” and “The wrong protection key” in the runbook.
            """)),
        ("secret_suspect", Html.Of($"""
            <b>Is the app secret right?</b> Wix rejects every site that is asked, as it does when the secret was changed on Wix’s dashboard. No site
            needs a reinstall because of this. Set the present secret: “The app secret” in the runbook. The sites then recover by themselves.
            """)),
        ("wix_throttled", Html.Of($"""
            <b>Wix throttles this process or does not answer it.</b> Refreshes pause; tokens are served while they live. One call each 10 seconds finds
            out when Wix is back. Nothing is to be done unless it lasts: see “Wix is down” in the runbook.
            """)),
        ("sweep_overdue", Html.Of($"""
            <b>No sweep for five minutes.</b> Tokens are refreshed only when somebody asks for one, and events wait. Look whether the timer
            RefreshTokens runs: “sweep-stopped” in the runbook.
            """)),
        (EventsParked, Html.Of($"""
            <b>The delivery of events was given up.</b> Your app does not know what happened to those sites. Mend the receiver, then
            <a href="#events">send them again</a>: “events-parked” in the runbook.
            """)),
        ("backup_overdue", Html.Of($"""
            <b>The last copy of the tokens is older than 26 hours.</b> Nothing is lost; a table that is deleted now comes back as it was then. Run
            “wixoauth backup”, and see “backup-overdue” in the runbook.
            """)),
    ];

    /// <summary>The banners of the troubles that there are. A word without a banner is left out.</summary>
    public static Html Render(IReadOnlyCollection<string> troubles) => Html.Concat(s_banners
        .Where(banner => troubles.Contains(banner.Word))
        .Select(banner => Html.Of($"""<p class="card warning" id="{banner.Word.Replace('_', '-')}">{banner.Text}</p>""")));
}

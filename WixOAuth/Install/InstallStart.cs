using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Settings;

namespace WixOAuth.Install;

/// <summary>
/// The beginning of an install: the App URL sends the browser on to Wix's consent page (wix-protocol §2 and §3). An
/// install link first shows a page on which the user confirms the customer: otherwise any web page could open a link in a
/// visitor's browser.
/// </summary>
internal sealed class InstallStart(
    InstallStateService states, InstallLinkService links, ExchangeLimiter limiter, ServiceSettings settings, InstallMetrics metrics, TimeProvider time)
{
    /// <summary>The App URL. It is open to the world, so it touches neither the storage nor Wix. Null is what did not come.</summary>
    /// <exception cref="SecretUnavailableException">The key to encrypt the state with cannot be read.</exception>
    public async Task<InstallResult> BeginAsync(
        InstallToken? token, string? start, IReadOnlyList<KeyValuePair<string, string>> cookies, CancellationToken cancellationToken)
    {
        var result = start is null ? await BeginConsentAsync(token, cookies, cancellationToken) : await OpenLinkAsync(start, cancellationToken);
        metrics.InstallBegun(result);
        return result;
    }

    /// <summary>
    /// The button of a link's page: redeems the link, once, and continues to consent. The caller checks that the request comes
    /// from our own page.
    /// </summary>
    /// <exception cref="StorageUnavailableException">The storage fails; the link may have been redeemed.</exception>
    /// <exception cref="SecretUnavailableException">The key to encrypt the state with cannot be read.</exception>
    public async Task<InstallResult> ConfirmLinkAsync(
        string? start, IReadOnlyList<KeyValuePair<string, string>> cookies, CancellationToken cancellationToken)
    {
        var result = await RedeemLinkAsync(start, cookies, cancellationToken);
        metrics.InstallBegun(result);
        return result;
    }

    private async Task<InstallResult> OpenLinkAsync(string start, CancellationToken cancellationToken) =>
        await links.ReadAsync(start, cancellationToken) is { } link
            ? new InstallResult.Confirm(start, link.DisplayName ?? link.Customer)
            : new InstallResult.Stopped(InstallProblem.BadLink);

    private async Task<InstallResult> BeginConsentAsync(
        InstallToken? token, IReadOnlyList<KeyValuePair<string, string>> cookies, CancellationToken cancellationToken)
    {
        var (inFlight, removed) = await states.ReadAllAsync(cookies, cancellationToken);

        // An install that began on our platform passes through the App URL again (wix-protocol §2), and so does one that
        // is started again from an error page.
        var link = inFlight.Select(other => other.Install.Link)
            .OfType<ConfirmedLink>()
            .Where(confirmed => !states.IsExpired(confirmed.ConfirmedAt))
            .MaxBy(confirmed => confirmed.ConfirmedAt);
        return await ConsentAsync(token, link, inFlight, removed, cancellationToken);
    }

    private async Task<InstallResult> RedeemLinkAsync(
        string? start, IReadOnlyList<KeyValuePair<string, string>> cookies, CancellationToken cancellationToken)
    {
        if (start is null || await links.ReadAsync(start, cancellationToken) is not { } link)
        {
            return new InstallResult.Stopped(InstallProblem.BadLink);
        }

        var (inFlight, removed) = await states.ReadAllAsync(cookies, cancellationToken);

        // Limited because a used link can still be posted, at two storage requests each time.
        using var turn = await limiter.TryEnterAsync(cancellationToken);
        if (turn is null)
        {
            return new InstallResult.Stopped(InstallProblem.Busy);
        }

        var confirmed = new ConfirmedLink(BitConverter.ToInt64(link.Nonce), time.GetUtcNow(), link.Customer);

        // Not cancelled: a link that was consumed has to lead to the consent page.
        if (!await links.TryRedeemAsync(link, CancellationToken.None))
        {
            // The user of this browser pressed the button twice or went back, and can still go on.
            return inFlight.Any(other => other.Install.Link?.Id == confirmed.Id && !states.IsExpired(other.Install.Link.ConfirmedAt))
                ? new InstallResult.UsedHere()
                : new InstallResult.Stopped(InstallProblem.BadLink);
        }

        return await ConsentAsync(token: null, confirmed, inFlight, removed, cancellationToken);
    }

    private async Task<InstallResult> ConsentAsync(
        InstallToken? token,
        ConfirmedLink? link,
        List<(string Name, InstallState Install)> inFlight,
        List<string> removed,
        CancellationToken cancellationToken)
    {
        var (state, cookie) = await states.IssueAsync(link, cancellationToken);
        removed.AddRange(inFlight.SkipLast(InstallStateService.MaxInFlight - 1).Select(other => other.Name));
        return new InstallResult.Consent(InstallerUrls.Consent(settings.Wix, token, state), cookie, removed);
    }
}

using System.Diagnostics;
using Microsoft.Extensions.Logging;
using WixOAuth.Hosting;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Settings;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Install;

/// <summary>
/// The Advanced OAuth handshake. Read it top to bottom to follow an install: the App URL sends the browser on to
/// Wix's consent page; the redirect comes back with a code; the state is redeemed, the code exchanged, the instance
/// confirmed, its tokens saved, and the browser sent to close its window.
/// </summary>
public sealed class InstallFlow(
    InstallStateService tickets,
    IInstanceStore store,
    InstanceWriter writer,
    TokenGrants grants,
    WixClient wix,
    TokenProtector protector,
    TokenService tokenService,
    TokenSchedule schedule,
    SetupCompleter setup,
    BackgroundWork background,
    ServiceSettings settings,
    Telemetry telemetry,
    TimeProvider time,
    ILogger<InstallFlow> logger)
{
    /// <summary>How long a page that is loaded again waits for the first load to end.</summary>
    public static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(25);

    private static readonly TimeSpan ShortestPoll = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestPoll = TimeSpan.FromSeconds(1);

    /// <summary>
    /// The App URL: on to the consent page, at once (wix-protocol §2 and §3). It is open to the world, so it touches
    /// neither the storage nor Wix.
    /// </summary>
    /// <exception cref="SecretUnavailableException">The key to encrypt the state with cannot be had.</exception>
    public async Task<InstallResult> BeginAsync(AppUrlRequest request, CancellationToken cancellationToken)
    {
        var step = await FindConsentAsync(request, cancellationToken);
        telemetry.InstallBegun(step);
        return step;
    }

    private async Task<InstallResult> FindConsentAsync(AppUrlRequest request, CancellationToken cancellationToken)
    {
        var (link, customer) = (new byte[16], (string?)null);
        var (inFlight, removed) = await tickets.ReadAllAsync(request.Cookies, cancellationToken);
        if (request.Start is { } start)
        {
            if (await tickets.ReadLinkAsync(start, cancellationToken) is not { } opened)
            {
                return new InstallResult.Stopped(InstallProblem.BadLink);
            }

            (link, customer) = opened;
        }
        else if (request.Token is not null
            && inFlight.Where(install => install.Ticket.Customer is not null).DistinctBy(install => Convert.ToHexString(install.Ticket.Link)).ToList()
                is [var only])
        {
            // Wix sends an install that began on our platform through the App URL again, with a token (wix-protocol §2).
            (link, customer) = (only.Ticket.Link, only.Ticket.Customer);
        }

        var (state, cookie) = await tickets.IssueAsync(link, customer, cancellationToken);
        removed.AddRange(inFlight.SkipLast(InstallStateService.MaxInFlight - 1).Select(install => install.Name));
        return new InstallResult.Consent(ConsentUrl(request.Token, state), cookie, removed);
    }

    /// <summary>
    /// The Redirect URL: from the code to saved tokens (wix-protocol §4 to §7). Once the state is redeemed nobody
    /// cancels it: a browser that goes away must not leave a code spent and its tokens lost.
    /// </summary>
    /// <exception cref="OperationCanceledException">The caller went away before anything was spent.</exception>
    public async Task<InstallResult> CompleteAsync(RedirectRequest request, CancellationToken cancellationToken)
    {
        var startedAt = time.GetTimestamp();
        using var activity = telemetry.Trace("Redirect");
        var step = await RedeemAsync(request, activity, cancellationToken);
        telemetry.RedirectEnded(activity, step, time.GetElapsedTime(startedAt));
        return step;
    }

    private async Task<InstallResult> RedeemAsync(RedirectRequest request, Activity? activity, CancellationToken cancellationToken)
    {
        // 1. Is it ours to go on with?
        if (request.HasError || request.Code is not { } code)
        {
            return new InstallResult.Stopped(InstallProblem.NotConsented);
        }

        if (request.State is null || await tickets.ReadStateAsync(request.State, cancellationToken) is not var (nonce, issuedAt))
        {
            return new InstallResult.Stopped(InstallProblem.InvalidState);
        }

        if (tickets.IsExpired(issuedAt))
        {
            return new InstallResult.Stopped(InstallProblem.ExpiredState);
        }

        if (await tickets.FindAsync(request.Cookies, nonce, cancellationToken) is not { } ticket)
        {
            return new InstallResult.Stopped(InstallProblem.InvalidState);
        }

        if (!InstanceId.TryParse(request.InstanceId, out var id))
        {
            return new InstallResult.Stopped(InstallProblem.BadInstance);
        }

        activity?.SetInstance(id);

        // Before anything is spent: tokens that cannot be sealed cannot be saved.
        await protector.EnsureCanSealAsync(cancellationToken);

        // 2. Redeem the state, once. That this write succeeds also shows that the tokens can be saved. A browser that
        // leaves now does not stop it: its reload could not tell whether the row that landed has anyone behind it.
        var redemption = new ConsumedState
        {
            Nonce = Convert.ToHexStringLower(nonce),
            IssuedAt = issuedAt,
            AttemptId = Guid.NewGuid().ToString("N"),
            CodeFingerprint = code.Fingerprint(),
            InstanceId = id,
        };
        if (!await store.TryAddConsumedStateAsync(redemption, CancellationToken.None)
            && await RepeatAsync(redemption, cancellationToken) is { } repeated)
        {
            return repeated;
        }

        // 3. From here on the end is written down, whatever it is.
        var (outcome, step, expiresOn) = await SpendAsync(code, id, ticket.Customer);
        await RecordAsync(redemption with { Outcome = outcome, AccessTokenExpiresOn = expiresOn });
        logger.RedirectEnded(id, outcome);
        return step;
    }

    private async Task<(ConsumedStateOutcome Outcome, InstallResult Step, DateTimeOffset? ExpiresOn)> SpendAsync(
        AuthorizationCode code, InstanceId id, string? customer)
    {
        try
        {
            // 4. The code for tokens.
            var answer = await grants.ExchangeAsync(code, CancellationToken.None);
            if (answer is TokenAnswer.Rejected)
            {
                return Stopped(ConsumedStateOutcome.Rejected);
            }

            if (answer is not TokenAnswer.Granted { RefreshToken: { } refreshToken } granted)
            {
                return Stopped(ConsumedStateOutcome.WixUnavailable);
            }

            // 5. Whose tokens are they? The instance of the query string is only a claim (wix-protocol §4).
            var (belongs, consent) = await ConfirmAsync(granted.AccessToken, id, customer);
            if (belongs is not true)
            {
                return Stopped(belongs is false ? ConsumedStateOutcome.Rejected : ConsumedStateOutcome.WixUnavailable);
            }

            // 6. Saved before the browser goes on.
            var stored = await SaveAsync(id, consent, granted, refreshToken);
            if (stored.Instance.SetupPending)
            {
                background.Start("set-up completion", () => setup.SendAsync(stored, granted.AccessToken));
            }

            return (ConsumedStateOutcome.Connected, new InstallResult.CloseWindow(CloseWindowUrl(granted.AccessToken)), granted.ExpiresOn);
        }
        catch (Exception exception) when (exception is StorageUnavailableException or SecretUnavailableException or InvalidDataException)
        {
            logger.NotSaved(id, exception.GetType().Name);
            return Stopped(ConsumedStateOutcome.StorageUnavailable);
        }

        static (ConsumedStateOutcome, InstallResult, DateTimeOffset?) Stopped(ConsumedStateOutcome outcome) =>
            (outcome, new InstallResult.Stopped(ProblemOf(outcome)), null);
    }

    /// <summary>Whether the token belongs to the instance and to this app; null when Wix does not tell.</summary>
    private async Task<(bool? Belongs, Consent Consent)> ConfirmAsync(AccessToken accessToken, InstanceId id, string? customer)
    {
        var askingInfo = wix.GetTokenInfoAsync(accessToken, CancellationToken.None);
        var askingInstance = wix.GetAppInstanceAsync(accessToken, CancellationToken.None);
        var (info, instance) = (await askingInfo, await askingInstance);

        var consent = new Consent(
            customer, instance?.Site, instance?.AppVersion, info?.IssuedAt, settings.Wix.SetupCompletion == SetupCompletion.OnInstall);
        if (info is { Active: false } || (info?.ClientId is { } app && app != settings.Wix.AppId) || (info?.InstanceId is { } other && other != id))
        {
            return (false, consent);
        }

        if (info is { Active: true, ClientId: not null, InstanceId: not null })
        {
            return (true, consent);
        }

        // Get App Instance names no app, but answers only for tokens of apps, and ours were had with our own secret.
        return (instance?.InstanceId is { } confirmed ? confirmed == id : null, consent);
    }

    /// <summary>
    /// Saves and remembers the tokens of a consent, once: what others have made of it since, while the answer to the
    /// write was lost, stays as it is; so does a newer consent.
    /// </summary>
    internal async Task<StoredInstance> SaveAsync(InstanceId id, Consent consent, TokenAnswer.Granted granted, RefreshToken refreshToken)
    {
        var consentId = Guid.NewGuid().ToString("N");
        var stored = await writer.CommitAsync(
            id,
            known: null,
            async before =>
            {
                var now = time.GetUtcNow();
                var tokens = await protector.ProtectAsync(id, Instance.NextGeneration(before), granted, refreshToken);
                var instance = Instance.Consented(before, id, consent, tokens, consentId, now);
                return ReferenceEquals(instance, before) ? before : instance with { DueAt = schedule.DueAt(instance, now) };
            },
            current => current.ConsentId == consentId);
        if (stored!.Instance.CommitId == consentId)
        {
            tokenService.Remember(stored, granted.AccessToken);
        }

        return stored;
    }

    private async Task RecordAsync(ConsumedState redemption)
    {
        try
        {
            await store.SaveConsumedStateAsync(redemption, CancellationToken.None);
        }
        catch (StorageUnavailableException)
        {
            // The install itself has ended; only a page loaded again will not know how.
            logger.OutcomeNotRecorded(redemption.InstanceId, redemption.Outcome);
        }
    }

    /// <summary>
    /// The same redirect again: a reload gets what the first load got. Null when it turns out to be no repeat, since the
    /// answer to our own write was lost.
    /// </summary>
    private async Task<InstallResult?> RepeatAsync(ConsumedState mine, CancellationToken cancellationToken)
    {
        var patientUntil = time.GetUtcNow() + LongestWait;
        for (var poll = ShortestPoll; ; poll = poll * 1.5 < LongestPoll ? poll * 1.5 : LongestPoll)
        {
            var first = await store.FindConsumedStateAsync(mine.Nonce, mine.IssuedAt, cancellationToken);
            if (first?.AttemptId == mine.AttemptId)
            {
                return null;
            }

            if (first is null || first.CodeFingerprint != mine.CodeFingerprint || first.InstanceId != mine.InstanceId)
            {
                logger.StateReplayed(mine.InstanceId);
                return new InstallResult.Stopped(InstallProblem.ReplayedState);
            }

            if (first.Outcome == ConsumedStateOutcome.Connected)
            {
                return await CloseAgainAsync(first, cancellationToken);
            }

            if (first.Outcome != ConsumedStateOutcome.Pending)
            {
                return new InstallResult.Stopped(ProblemOf(first.Outcome));
            }

            if (time.GetUtcNow() >= patientUntil)
            {
                return new InstallResult.Stopped(InstallProblem.WixUnavailable);
            }

            await Task.Delay(poll, time, cancellationToken);
        }
    }

    private async Task<InstallResult> CloseAgainAsync(ConsumedState first, CancellationToken cancellationToken) =>
        first.AccessTokenExpiresOn > time.GetUtcNow()
        && await tokenService.GetTokenAsync(first.InstanceId, TokenRequirements.LivingFor(TimeSpan.Zero), cancellationToken) is TokenResult.Token token
            ? new InstallResult.CloseWindow(CloseWindowUrl(token.AccessToken))
            : new InstallResult.Connected();

    private static InstallProblem ProblemOf(ConsumedStateOutcome outcome) => outcome switch
    {
        ConsumedStateOutcome.Rejected => InstallProblem.Rejected,
        ConsumedStateOutcome.StorageUnavailable => InstallProblem.StorageUnavailable,
        _ => InstallProblem.WixUnavailable,
    };

    private BrowserUrl ConsentUrl(InstallToken? token, string state) => new(
        $"{settings.Wix.InstallerUrl.AbsoluteUri.TrimEnd('/')}/install?"
        + (token is null ? "" : $"token={Uri.EscapeDataString(token.Reveal())}&")
        + $"appId={Uri.EscapeDataString(settings.Wix.AppId)}"
        + $"&redirectUrl={Uri.EscapeDataString(settings.Wix.RedirectUrl.OriginalString)}"
        + $"&state={state}");

    private BrowserUrl CloseWindowUrl(AccessToken accessToken) => new(
        $"{settings.Wix.InstallerUrl.AbsoluteUri.TrimEnd('/')}/close-window?access_token={Uri.EscapeDataString(accessToken.Reveal())}");
}

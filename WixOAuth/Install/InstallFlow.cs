using System.Diagnostics;
using Microsoft.Extensions.Logging;
using WixOAuth.Hosting;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Settings;
using WixOAuth.Telemetry;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Install;

/// <summary>
/// The second half of the Advanced OAuth handshake; <see cref="InstallStart"/> is the first. Read it top to bottom to
/// follow an install: the redirect comes back with a code; the state is consumed, the code exchanged, the instance
/// confirmed, its tokens saved, and the browser sent to close its window.
/// </summary>
internal sealed partial class InstallFlow(
    InstallStateService states,
    ExchangeLimiter limiter,
    IConsumedStateStore store,
    IInstanceStore instances,
    RepeatedRedirects repeats,
    TokenGrants grants,
    InstanceConfirmation confirmation,
    TokenProtector protector,
    ConsentSaver saver,
    SetupCompleter setup,
    BackgroundWork background,
    ServiceSettings settings,
    InstallMetrics metrics,
    TimeProvider time,

    // Fifteen: one for each step of the handshake, so that one class shows all of it in order.
    ILogger<InstallFlow> logger)
{
    private const int MaxCodeLength = 7_900;

    private readonly LogThrottle[] _refusals = [.. Enum.GetValues<ConsumedStateOutcome>().Select(_ => new LogThrottle(time))];
    private readonly LogThrottle _unrecorded = new(time);

    /// <summary>
    /// The Redirect URL: from the code to saved tokens (wix-protocol §4 to §7). Once the state is consumed nothing
    /// cancels it: a browser that goes away must not leave a code spent and its tokens lost.
    /// </summary>
    /// <exception cref="OperationCanceledException">The caller went away before anything was spent.</exception>
    public async Task<InstallResult> CompleteAsync(RedirectRequest request, CancellationToken cancellationToken)
    {
        var startedAt = time.GetTimestamp();
        using var activity = metrics.TraceRedirect();
        InstallResult? result = new InstallResult.Stopped(InstallProblem.Unexpected);
        try
        {
            return result = await RedeemAsync(request, activity, cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            result = null;
            throw;
        }
        catch (Exception exception) when (exception is StorageUnavailableException or SecretUnavailableException or InvalidDataException)
        {
            result = new InstallResult.Stopped(InstallProblem.StorageUnavailable);
            throw;
        }
        finally
        {
            if (result is not null)
            {
                metrics.RedirectEnded(activity, result, time.GetElapsedTime(startedAt));
            }
        }
    }

    private async Task<InstallResult> RedeemAsync(RedirectRequest request, Activity? activity, CancellationToken cancellationToken)
    {
        // 1. Is it a redirect of an install that began here, in this browser?
        if (request.HasError || request.Code is not { } code)
        {
            return new InstallResult.Stopped(InstallProblem.NotConsented);
        }

        if (!CanBeCode(code))
        {
            return new InstallResult.Stopped(InstallProblem.BadRequest);
        }

        if (request.State is null || await states.ReadStateAsync(request.State, cancellationToken) is not var (nonce, issuedAt))
        {
            return new InstallResult.Stopped(InstallProblem.InvalidState);
        }

        if (states.IsExpired(issuedAt))
        {
            return new InstallResult.Stopped(InstallProblem.ExpiredState);
        }

        if (await states.FindAsync(request.Cookies, nonce, cancellationToken) is not { } install)
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

        // 2. Wait for a turn, and consume the state, once. That this write succeeds also shows that the tokens can be saved.
        // A browser that leaves now does not stop it: its reload could not tell whether the row is still being processed.
        using var turn = await limiter.TryEnterAsync(cancellationToken);
        if (turn is null)
        {
            return new InstallResult.Stopped(InstallProblem.Busy);
        }

        var consumed = new ConsumedState
        {
            Nonce = Convert.ToHexStringLower(nonce),
            IssuedAt = issuedAt,
            AttemptId = Guid.NewGuid().ToString("N"),
            CodeFingerprint = code.Fingerprint(),
            InstanceId = id,
        };

        // A conflict may be our own write, whose answer was lost.
        if (!await store.TryAddConsumedStateAsync(consumed, CancellationToken.None)
            && await store.FindConsumedStateAsync(consumed.Nonce, issuedAt, CancellationToken.None) is var first
            && first?.AttemptId != consumed.AttemptId)
        {
            // A repeat may wait for long, and must not keep others from their turn.
            turn.Dispose();
            return await FinishedAsync(await repeats.AnswerAsync(consumed, first, cancellationToken), install, request);
        }

        // 3. From here on the outcome is recorded, whatever it is.
        var (outcome, result, expiresOn) = await SpendAsync(consumed, code, install.Link?.Customer);
        await RecordAsync(consumed with { Outcome = outcome, AccessTokenExpiresOn = expiresOn });
        LogEnd(id, outcome);
        return await FinishedAsync(result, install, request);
    }

    // Wix's codes have up to some 4,700 characters; no host passes a longer request line on than this allows (wix-protocol §4).
    private static bool CanBeCode(AuthorizationCode code) =>
        code.Reveal() is { Length: <= MaxCodeLength } text && !text.AsSpan().ContainsAnyExceptInRange('!', '~');

    private void LogEnd(InstanceId id, ConsumedStateOutcome outcome)
    {
        if (outcome == ConsumedStateOutcome.Connected)
        {
            RedirectEnded(id, outcome);
        }
        else if (_refusals[(int)outcome].TryPass(out var suppressed))
        {
            // Without the instance id, which anybody can choose.
            RedirectRefused(outcome, suppressed);
        }
    }

    /// <summary>A connected site's link must not hand its customer to another install in this browser.</summary>
    private async Task<InstallResult> FinishedAsync(InstallResult result, InstallState install, RedirectRequest request)
    {
        try
        {
            return result is InstallResult.CloseWindow close
                ? close with { Finished = await states.FinishAsync(install.Link, request.Cookies, CancellationToken.None) }
                : result;
        }
        catch (SecretUnavailableException)
        {
            // The site is connected. Its link stays usable in this browser until its ten minutes are over.
            return result;
        }
    }

    private async Task<(ConsumedStateOutcome Outcome, InstallResult Result, DateTimeOffset? ExpiresOn)> SpendAsync(
        ConsumedState consumed, AuthorizationCode code, string? customer)
    {
        var (id, isConfirmed) = (consumed.InstanceId, false);
        try
        {
            // 4. What is stored? Before the code is spent: a row that this version cannot read could not take its tokens.
            var known = await instances.FindAsync(id, CancellationToken.None);

            // 5. The code for tokens.
            var answer = await grants.ExchangeAsync(code, CancellationToken.None);
            if (answer is TokenAnswer.Rejected)
            {
                return Stopped(ConsumedStateOutcome.Rejected);
            }

            if (answer is not TokenAnswer.Granted { RefreshToken: { } refreshToken } granted)
            {
                return Stopped(ConsumedStateOutcome.WixUnavailable);
            }

            // 6. Whose tokens are they? The instance of the query string is only a claim (wix-protocol §4).
            var confirmed = await confirmation.ConfirmAsync(granted.AccessToken, id, CancellationToken.None);
            if (confirmed.Outcome != ConfirmationOutcome.Confirmed)
            {
                return Stopped(confirmed.Outcome == ConfirmationOutcome.Refused ? ConsumedStateOutcome.Rejected : ConsumedStateOutcome.WixUnavailable);
            }

            // 7. Saved before the browser goes on.
            isConfirmed = true;
            var stored = await saver.SaveAsync(id, ConsentOf(confirmed, customer), granted, refreshToken, known);
            if (stored.Instance.SetupPending)
            {
                background.Start("set-up completion", () => setup.SendAsync(stored, granted.AccessToken));
            }

            return (ConsumedStateOutcome.Connected, new InstallResult.CloseWindow(InstallerUrls.CloseWindow(settings.Wix, granted.AccessToken), []), granted.ExpiresOn);
        }
        catch (Exception exception) when (exception is StorageUnavailableException or SecretUnavailableException or InvalidDataException)
        {
            if (isConfirmed)
            {
                NotSaved(id, exception.GetType().Name);
            }

            return Stopped(ConsumedStateOutcome.StorageUnavailable);
        }
        catch
        {
            // Unexpected. Record an outcome, so that a reload does not wait for one that never comes.
            await RecordAsync(consumed with { Outcome = ConsumedStateOutcome.StorageUnavailable });
            throw;
        }

        static (ConsumedStateOutcome, InstallResult, DateTimeOffset?) Stopped(ConsumedStateOutcome outcome) =>
            (outcome, new InstallResult.Stopped(RepeatedRedirects.ProblemOf(outcome)), null);
    }

    private Consent ConsentOf(Confirmation confirmation, string? customer) => new(
        customer,
        confirmation.Instance?.Site,
        confirmation.Instance?.AppVersion,
        confirmation.IssuedAt,
        settings.Wix.SetupCompletion == SetupCompletion.OnInstall);

    private async Task RecordAsync(ConsumedState consumed)
    {
        try
        {
            await store.SaveConsumedStateAsync(consumed, CancellationToken.None);
        }
        catch (StorageUnavailableException)
        {
            // The install itself has ended; only a page loaded again will not know how.
            if (_unrecorded.TryPass(out var suppressed))
            {
                OutcomeNotRecorded(consumed.Outcome, suppressed);
            }
        }
    }

    // Instances and outcomes; never a code, a state, a token or a customer.
    [LoggerMessage(201, LogLevel.Information, "Redirect for instance {InstanceId} ended: {Outcome}")]
    private partial void RedirectEnded(InstanceId instanceId, ConsumedStateOutcome outcome);

    [LoggerMessage(207, LogLevel.Information, "A redirect ended without a connected site: {Outcome} (and {Suppressed} more since the last such message)")]
    private partial void RedirectRefused(ConsumedStateOutcome outcome, int suppressed);

    [LoggerMessage(202, LogLevel.Warning, "The outcome {Outcome} of a redirect could not be saved (and {Suppressed} more since the last such message)")]
    private partial void OutcomeNotRecorded(ConsumedStateOutcome outcome, int suppressed);

    [LoggerMessage(206, LogLevel.Error, "Redirect for instance {InstanceId}: the tokens could not be saved ({Error}); the site's owner is asked to start again")]
    private partial void NotSaved(InstanceId instanceId, string error);
}

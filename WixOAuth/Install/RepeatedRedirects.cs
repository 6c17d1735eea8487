using Microsoft.Extensions.Logging;
using WixOAuth.Hosting;
using WixOAuth.Instances;
using WixOAuth.Settings;
using WixOAuth.Tokens;

namespace WixOAuth.Install;

/// <summary>Answers a redirect whose state was consumed before: by a reload of the page, or by another client that has the state.</summary>
internal sealed partial class RepeatedRedirects(
    IConsumedStateStore store, TokenService tokenService, ServiceSettings settings, TimeProvider time, ILogger<RepeatedRedirects> logger)
{
    /// <summary>How long a page that is loaded again waits for the first load to end.</summary>
    public static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(25);

    private static readonly TimeSpan ShortestPoll = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestPoll = TimeSpan.FromSeconds(1);

    private readonly LogThrottle _replays = new(time);

    internal static InstallProblem ProblemOf(ConsumedStateOutcome outcome) => outcome switch
    {
        ConsumedStateOutcome.Rejected => InstallProblem.Rejected,
        ConsumedStateOutcome.StorageUnavailable => InstallProblem.StorageUnavailable,
        _ => InstallProblem.WixUnavailable,
    };

    /// <summary>
    /// The same redirect again: a reload gets what the first load got. <paramref name="first"/> is what that had recorded;
    /// null where its row has gone.
    /// </summary>
    public async Task<InstallResult> AnswerAsync(ConsumedState mine, ConsumedState? first, CancellationToken cancellationToken)
    {
        var patientUntil = time.GetUtcNow() + LongestWait;
        for (var poll = ShortestPoll; ; poll = poll * 1.5 < LongestPoll ? poll * 1.5 : LongestPoll)
        {
            if (first is null || first.CodeFingerprint != mine.CodeFingerprint || first.InstanceId != mine.InstanceId)
            {
                if (_replays.TryPass(out var suppressed))
                {
                    StateReplayed(suppressed);
                }

                return new InstallResult.Stopped(InstallProblem.ReplayedState);
            }

            if (first.Outcome == ConsumedStateOutcome.Connected)
            {
                return await CloseAgainAsync(first, cancellationToken);
            }

            if (first.Outcome != ConsumedStateOutcome.Pending)
            {
                return new InstallResult.Stopped(ProblemOf(first.Outcome)) { IsRepeated = true };
            }

            if (time.GetUtcNow() >= patientUntil)
            {
                return new InstallResult.Stopped(InstallProblem.WixUnavailable) { IsRepeated = true };
            }

            await Task.Delay(poll, time, cancellationToken);
            first = await store.FindConsumedStateAsync(mine.Nonce, mine.IssuedAt, cancellationToken);
        }
    }

    private async Task<InstallResult> CloseAgainAsync(ConsumedState first, CancellationToken cancellationToken) =>
        first.AccessTokenExpiresOn > time.GetUtcNow()
        && await tokenService.GetTokenAsync(first.InstanceId, TokenRequirements.LivingFor(TimeSpan.Zero), cancellationToken) is TokenResult.Token token
            ? new InstallResult.CloseWindow(InstallerUrls.CloseWindow(settings.Wix, token.AccessToken), [])
            : new InstallResult.Connected();

    [LoggerMessage(203, LogLevel.Warning, "A state was used again with another code or instance (and {Suppressed} more since the last such message)")]
    private partial void StateReplayed(int suppressed);
}

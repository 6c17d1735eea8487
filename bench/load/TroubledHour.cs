using Microsoft.Extensions.DependencyInjection.Extensions;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Maintenance;
using WixOAuth.Scale;
using WixOAuth.Secrets;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Load;

/// <summary>An hour in which Wix refuses everybody, by a clock that is moved by hand, with well times before and after.</summary>
internal static class TroubledHour
{
    private const int MinutesBefore = 10;
    private const int MinutesOfTrouble = 60;
    private const int MinutesAfter = 60;

    /// <summary>Sweeps each minute and counts who is marked.</summary>
    /// <param name="run">The run.</param>
    /// <param name="sites">How many sites there are.</param>
    /// <param name="gone">How many of them Wix refuses for good reason, from the first minute on.</param>
    /// <param name="trouble">How Wix answers everybody during the hour; null for an hour like any other.</param>
    /// <returns>How many sites were marked at some minute: without reason, and with.</returns>
    public static async Task<(int Wrongly, int Rightly)> RunAsync(LoadRun run, int sites, int gone, Func<HttpResponseMessage>? trouble)
    {
        var clock = TestClock.New();
        using var wix = new StubWix();
        using var http = new HttpClient(wix) { Timeout = Timeout.InfiniteTimeSpan };
        await using var services = Parts.BuildServices(
            run,
            "unused",
            settings =>
            {
                // A fallback would hide rejections, an idle site is not asked about.
                settings["Wix:ClientCredentialsFallback"] = "false";
                settings["Tokens:IdleAfter"] = "00:00:00";
            },
            added => MemoryInstanceStore.Use(added)
                .Replace(ServiceDescriptor.Singleton<TimeProvider>(clock))
                .Replace(ServiceDescriptor.Singleton(provider => ActivatorUtilities.CreateInstance<WixTransport>(provider, http, http))));

        var (store, sweep) = (services.GetRequiredService<IInstanceStore>(), services.GetRequiredService<RefreshSweep>());
        var ids = Enumerable.Range(0, sites).Select(_ => new InstanceId(Guid.NewGuid())).ToList();
        foreach (var id in ids)
        {
            await InstallAsync(run, services, store, id, clock.GetUtcNow());
        }

        var refused = ids.Take(gone).Select(RefreshTokenOf).ToHashSet();
        HashSet<InstanceId> marked = [];
        for (var minute = 0; minute < MinutesBefore + MinutesOfTrouble + MinutesAfter; minute++)
        {
            var inTrouble = trouble is not null && minute is >= MinutesBefore and < MinutesBefore + MinutesOfTrouble;
            wix.Answer = (_, body, _) => Task.FromResult(
                inTrouble ? trouble!()
                : refused.Contains(body!.Value.GetProperty("refresh_token").GetString()!) ? StubWix.Status(401)
                : StubWix.Tokens("well"));
            clock.Advance(TimeSpan.FromMinutes(1));
            await clock.RunAsync(sweep.RunAsync(run.CancellationToken));
            foreach (var id in ids)
            {
                if ((await store.FindAsync(id, run.CancellationToken))!.Instance.Status == InstanceStatus.ReinstallRequired)
                {
                    marked.Add(id);
                }
            }
        }

        return (marked.Except(ids.Take(gone)).Count(), marked.Intersect(ids.Take(gone)).Count());
    }

    private static string RefreshTokenOf(InstanceId id) => $"refresh-{id}";

    private static async Task InstallAsync(LoadRun run, ServiceProvider services, IInstanceStore store, InstanceId id, DateTimeOffset now)
    {
        var granted = new TokenAnswer.Granted(new AccessToken("access"), new RefreshToken(RefreshTokenOf(id)), now, now + TimeSpan.FromMinutes(5));
        var tokens = await InstanceTokens.SealAsync(run.Around.Protector, id, 1, granted, granted.RefreshToken);
        var consent = new Consent(null, null, null, null, SendSetupCompleted: false);
        var instance = Instance.Consented(null, id, consent, tokens, "seed", now);
        await store.TryWriteAsync(
            null, instance with { DueAt = services.GetRequiredService<TokenSchedule>().DueAt(instance, now) }, run.CancellationToken);
    }
}

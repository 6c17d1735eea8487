using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Maintenance;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Wix;

/// <summary>
/// Many sites that are all due, swept once a minute and called at random, on simulated time: for outages of Wix that
/// last minutes or hours.
/// </summary>
internal sealed class Fleet : IDisposable
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly Random _random = new(1);
    private readonly List<InstanceId> _ids = [];
    private Task<SweepSummary>? _sweep;
    private int _seconds;

    public Core Core { get; } = new(settings: ("Tokens__IdleAfter", "00:00:00"));

    /// <summary>What callers were answered since the last <see cref="RunAsync"/> began.</summary>
    public List<TokenResult> Answers { get; } = [];

    /// <summary>Installs sites whose tokens are all due.</summary>
    public async Task InstallAsync(int sites)
    {
        for (var number = 0; number < sites; number++)
        {
            _ids.Add(Core.NewId());
            await Core.InstallAsync(_ids[^1], access: $"access-{number}", refresh: $"refresh-{number}");
        }

        Core.Clock.Advance(TimeSpan.FromMinutes(4));
    }

    /// <summary>Lets time pass.</summary>
    /// <param name="duration">How much.</param>
    /// <param name="callers">How many callers ask for a token of a random site each second.</param>
    public async Task RunAsync(TimeSpan duration, int callers)
    {
        List<Task<TokenResult>> asked = [];
        for (var end = Core.Clock.GetUtcNow() + duration; Core.Clock.GetUtcNow() < end; _seconds++)
        {
            if (_seconds % 60 == 0)
            {
                await EndSweepAsync();
                _sweep = Core.Begin(() => Core.Sweep.RunAsync(CancellationToken.None));
            }

            for (var caller = 0; caller < callers; caller++)
            {
                asked.Add(Core.GetAsync(_ids[_random.Next(_ids.Count)]));
            }

            await SingleThreadSynchronizationContext.SettleAsync(() => false);
            Core.Clock.Advance(Second);
        }

        await SingleThreadSynchronizationContext.SettleAsync(() => false);
        Answers.Clear();
        foreach (var answer in asked)
        {
            Answers.Add(await Core.Clock.RunAsync(answer, Second));
        }
    }

    /// <summary>How many sites have no living token in storage.</summary>
    public async Task<int> CountWithoutTokenAsync()
    {
        var now = Core.Clock.GetUtcNow();
        var without = 0;
        foreach (var id in _ids)
        {
            without += (await Core.ReadAsync(id)).AccessTokenExpiresOn > now ? 0 : 1;
        }

        return without;
    }

    public void Dispose() => Core.Dispose();

    private async Task EndSweepAsync()
    {
        if (_sweep is not null)
        {
            await Core.Clock.RunAsync(_sweep, Second);
        }
    }
}

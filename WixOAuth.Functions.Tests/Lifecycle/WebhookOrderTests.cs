using System.Text;
using CsCheck;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Http;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Lifecycle;

/// <summary>
/// Signed webhooks as Wix delivers them: up to 47 hours late, again and again, in any order (wix-protocol §10), while the
/// site's owner installs, upgrades and removes the app and the timer comes by. In the end we know what is so at Wix.
/// For every order of one life see <see cref="InstanceLifecycleTests"/>.
/// </summary>
public sealed class WebhookOrderTests
{
    private static readonly TimeSpan[] Gaps =
    [
        TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(30), TimeSpan.FromMinutes(9), TimeSpan.FromMinutes(11),
        TimeSpan.FromHours(2), TimeSpan.FromHours(20), TimeSpan.FromHours(47), TimeSpan.FromHours(49), TimeSpan.FromDays(5),
    ];

    private static readonly Gen<TimeSpan> Lateness = Gen.Frequency(
        (2, Gen.Const(TimeSpan.Zero)),
        (1, Gen.Int[0, 600].Select(seconds => TimeSpan.FromSeconds(seconds))),
        (2, Gen.Int[0, 47 * 3_600].Select(seconds => TimeSpan.FromSeconds(seconds))));

    /// <summary>What the owner does next, when, and how late each delivery of its webhook comes.</summary>
    private static readonly Gen<(int Gap, bool Choice, TimeSpan[] Deliveries)> Turn =
        Gen.Select(Gen.Int[0, Gaps.Length - 1], Gen.Bool, Lateness.Array[1, 3]);

    private readonly WebhookSigner _signer = new();

    private enum What
    {
        Install,
        Clone,
        Upgrade,
        Remove,
        Deliver,
        Nothing,
    }

    [Fact]
    public Task However_late_and_often_and_in_whatever_order_they_come_the_end_is_as_at_Wix() =>
        Gen.Select(Turn.Array[1, 7], Gen.Bool.Array[64], Gen.Bool).SampleAsync(
            (turns, sweeps, oldTokensSurvive) => LiveAsync(turns, sweeps, oldTokensSurvive), iter: 300 * Rounds.Factor, threads: 1);

    private async Task LiveAsync((int Gap, bool Choice, TimeSpan[] Deliveries)[] turns, bool[] sweeps, bool oldTokensSurvive)
    {
        using var core = new Core(settings: ("Wix__WebhookPublicKey", _signer.Pem));
        var id = Core.NewId();
        var atWix = new Site(oldTokensSurvive);
        core.Wix.Answer = (path, body, _) => Task.FromResult(path switch
        {
            "/oauth/access" when atWix.Accepts(body!.Value.GetProperty("refresh_token").GetString()) => StubWix.Tokens("access"),
            "/oauth2/token" when atWix.IsInstalled => StubWix.Tokens("minted", expiresIn: 14_400),
            "/apps/v1/bi-event" => StubWix.Json(System.Net.HttpStatusCode.OK, "{}"),
            _ => StubWix.Status(400),
        });

        var number = 0;
        foreach (var (at, what, jwt) in StoryOf(turns, id).OrderBy(each => each.At))
        {
            core.Clock.Advance(at - core.Clock.GetUtcNow());
            switch (what)
            {
                case What.Deliver:
                    Assert.Equal(200, await PostAsync(core.Webhooks, jwt!));
                    break;
                case What.Nothing:
                    break;
                default:
                    atWix.Do(what);
                    if (what is What.Install or What.Upgrade)
                    {
                        await ConsentAsync(core, id, atWix.RefreshToken, what == What.Install ? atWix.Customer : null);
                    }

                    break;
            }

            if (sweeps[number++ % sweeps.Length])
            {
                await core.Sweep.RunAsync(CancellationToken.None);
            }
        }

        // All that Wix has to say is said; what is left is the timer's. With one site, only time proves a removal in doubt.
        for (var passed = TimeSpan.Zero; passed <= RejectionPolicy.RejectedForWithoutProof; passed += TimeSpan.FromHours(1))
        {
            await core.Sweep.RunAsync(CancellationToken.None);
            core.Clock.Advance(TimeSpan.FromHours(1));
        }

        await core.Sweep.RunAsync(CancellationToken.None);

        var instance = await core.ReadAsync(id);
        Assert.Null(instance.RemovalNotedAt);
        if (atWix.IsInstalled)
        {
            Assert.Equal(InstanceStatus.Active, instance.Status);

            // Where a removal is told late, a link's customer conflicts with the one before it: then there is none.
            Assert.True(instance.Customer is null || instance.Customer == atWix.Customer, $"It belongs to {instance.Customer}, not to {atWix.Customer}.");
            Assert.True(atWix.Installs != 1 || instance.Customer == atWix.Customer, "Its customer was lost.");
            Assert.IsType<TokenResult.Token>(await core.GetAsync(id));
        }
        else
        {
            Assert.Equal(
                (InstanceStatus.Removed, null, null, null, null),
                (instance.Status, instance.AccessToken, instance.RefreshToken, instance.DueAt, instance.Lease));
            Assert.IsType<TokenResult.Removed>(await core.GetAsync(id));
        }
    }

    /// <summary>What the owner does, and the deliveries, each at its time.</summary>
    private IEnumerable<(DateTimeOffset At, What What, string? Jwt)> StoryOf((int Gap, bool Choice, TimeSpan[] Deliveries)[] turns, InstanceId id)
    {
        var (now, installed) = (TestClock.Start, false);
        foreach (var (gap, choice, deliveries) in turns)
        {
            now += Gaps[gap];
            var what = (installed, choice) switch
            {
                (false, true) => What.Install,
                (false, false) => What.Clone,
                (true, true) => What.Remove,
                (true, false) => What.Upgrade,
            };
            installed = what != What.Remove;
            yield return (now, what, null);

            // Of an upgrade Wix tells nothing.
            if (what != What.Upgrade)
            {
                var jwt = _signer.Sign(what == What.Remove ? "AppRemoved" : "AppInstalled", Guid.Parse(id.ToString()), now, "11111111-2222-4333-8444-555555555555");
                foreach (var late in deliveries)
                {
                    yield return (now + late, What.Deliver, jwt);
                }
            }

            // The timer may come by when nothing else happens.
            yield return (now + TimeSpan.FromHours(1), What.Nothing, null);
        }
    }

    private static Task<StoredInstance> ConsentAsync(Core core, InstanceId id, string refreshToken, string? customer)
    {
        var now = core.Clock.GetUtcNow();
        var granted = new TokenAnswer.Granted(new AccessToken("access"), new RefreshToken(refreshToken), now, now.AddMinutes(5));
        return core.Get<ConsentSaver>().SaveAsync(id, new Consent(customer, null, null, now, SendSetupCompleted: true), granted, granted.RefreshToken!);
    }

    private static async Task<int> PostAsync(WebhookEndpoint endpoint, string jwt)
    {
        var context = new DefaultHttpContext
        {
            RequestServices = new ServiceCollection().AddLogging().BuildServiceProvider(),
            Request = { Method = "POST", Body = new MemoryStream(Encoding.ASCII.GetBytes(jwt)) },
        };
        await (await endpoint.WixWebhook(context.Request, CancellationToken.None)).ExecuteAsync(context);
        return context.Response.StatusCode;
    }

    /// <summary>What is so at Wix. Whether refresh tokens of before a removal work again after a reinstall is not known.</summary>
    private sealed class Site(bool oldTokensSurvive)
    {
        private int _consents;
        private int _oldest = 1;

        public bool IsInstalled { get; private set; }

        public int Installs { get; private set; }

        /// <summary>Of the link of the current installation.</summary>
        public string? Customer { get; private set; }

        public string RefreshToken => $"refresh-{_consents}";

        public void Do(What what)
        {
            IsInstalled = what != What.Remove;
            Installs += what == What.Install ? 1 : 0;
            Customer = what == What.Install ? $"customer {Installs}" : what == What.Upgrade ? Customer : null;
            _consents += what is What.Install or What.Upgrade ? 1 : 0;
            _oldest = what == What.Remove && !oldTokensSurvive ? _consents + 1 : _oldest;
        }

        public bool Accepts(string? refreshToken) =>
            IsInstalled && refreshToken is not null && int.Parse(refreshToken.Split('-')[1], System.Globalization.CultureInfo.InvariantCulture) >= _oldest;
    }
}

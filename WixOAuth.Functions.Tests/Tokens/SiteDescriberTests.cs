using System.Net;
using WixOAuth.Functions.Tests.Storage;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Tokens;

/// <summary>When a site's name and address are asked for again.</summary>
public sealed class SiteDescriberTests
{
    [Theory]
    [InlineData("00000000-0000-4000-8000-000000000000", 24)]
    [InlineData("00000000-0000-4000-8000-000040000000", 18)]
    [InlineData("00000000-0000-4000-8000-000080000000", 12)]
    [InlineData("00000000-0000-4000-8000-0000c0000000", 6)]
    public void Each_site_is_due_once_a_day_at_a_time_of_its_own(string id, int hour)
    {
        var midnight = new DateTimeOffset(2026, 3, 4, 0, 0, 0, TimeSpan.Zero);
        var due = Enumerable.Range(0, 24)
            .Where(begun => SiteDescriber.IsDue(RefreshedAt(midnight.AddHours(begun + 0.5)), midnight.AddHours(begun + 1.5)))
            .Select(begun => begun + 1);

        Assert.Equal([hour], due);

        Instance RefreshedAt(DateTimeOffset at) => Samples.NewInstance() with { Id = new InstanceId(Guid.Parse(id)), ConsentedAt = midnight, RefreshedAt = at };
    }

    [Fact]
    public async Task A_site_that_its_callers_keep_fresh_is_described_too()
    {
        using var core = new Core();
        var id = Core.NewId();
        await core.InstallAsync(id);
        core.Wix.Answer = (path, _, _) => Task.FromResult(path == "/apps/v1/instance"
            ? StubWix.Json(HttpStatusCode.OK, $$$"""{"instance":{"instanceId":"{{{id}}}","appVersion":"2.0.0"},"site":{"siteDisplayName":"Flowers","url":"https://flowers.example.com"}}""")
            : StubWix.Tokens($"access-{core.Wix.Calls.Count}", "refresh-1"));

        for (var minutes = 0; minutes < 2 * 24 * 60; minutes += 4)
        {
            core.Clock.Advance(TimeSpan.FromMinutes(4));
            Assert.IsType<TokenResult.Token>(await core.GetAsync(id));
            await core.Background.WhenIdleAsync(CancellationToken.None);
        }

        Assert.Equal(2, core.Wix.CallsTo("/apps/v1/instance"));
        var described = await core.ReadAsync(id);
        Assert.Equal(("Flowers", "2.0.0"), (described.Site?.Name, described.AppVersion));
    }
}

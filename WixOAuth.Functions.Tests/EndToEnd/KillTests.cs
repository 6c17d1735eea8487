using System.Net;
using WixOAuth.PretendWix;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>The real program, killed at each step of an install: it leaves nothing or a complete instance.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class KillTests(AzuriteFixture azurite)
{
    /// <summary>Before and after Wix acts, at each call of an install, with the state already redeemed.</summary>
    public static TheoryData<string, bool, bool> Moments() => new()
    {
        { PretendWixEndpoints.Access, false, false },
        { PretendWixEndpoints.Access, true, false },
        { PretendWixEndpoints.TokenInfo, false, false },
        { PretendWixEndpoints.TokenInfo, true, false },
        { PretendWixEndpoints.BiEvent, false, true },
        { PretendWixEndpoints.BiEvent, true, true },
    };

    [Theory]
    [MemberData(nameof(Moments))]
    public async Task A_kill_leaves_nothing_or_a_complete_instance_and_starting_again_works(string endpoint, bool afterWixActed, bool isComplete)
    {
        await using var bed = await TestBed.StartAsync(azurite);
        using var browser = new TestBrowser();
        var site = bed.Wix.CreateSite("One");
        using var process = await bed.MoveToProcessAsync();
        var redirect = await bed.WalkToRedirectAsync(browser, site.InstanceId);
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Func<string, CancellationToken, Task> gate = async (name, cancellationToken) =>
        {
            if (name == endpoint)
            {
                reached.TrySetResult();
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
            }
        };
        bed.Wix.Control.Gate = afterWixActed ? null : gate;
        bed.Wix.Control.GateAfter = afterWixActed ? gate : null;

        var loading = browser.GetAsync(redirect);
        await reached.Task.WaitAsync(TimeSpan.FromMinutes(3));
        process.Kill();
        await process.WaitForExitAsync();
        (bed.Wix.Control.Gate, bed.Wix.Control.GateAfter) = (null, null);
        if (!isComplete)
        {
            await Assert.ThrowsAsync<HttpRequestException>(() => loading);
        }

        await bed.StartHostAsync();
        Assert.Equal(isComplete ? HttpStatusCode.OK : HttpStatusCode.NotFound, (await bed.GetTokenAsync(site.InstanceId)).StatusCode);

        using var again = new TestBrowser();
        TestBrowser.LocationOf(await again.GetAsync(await bed.WalkToRedirectAsync(again, site.InstanceId)));
        await bed.SettleAsync();
        Assert.Equal(HttpStatusCode.OK, (await bed.GetTokenAsync(site.InstanceId)).StatusCode);
        Assert.True(bed.Wix.GetSite(site.InstanceId).SetupComplete);
        bed.Clock.Advance(TimeSpan.FromMinutes(6));
        Assert.Equal(HttpStatusCode.OK, (await bed.GetTokenAsync(site.InstanceId)).StatusCode);
    }
}

using Microsoft.Extensions.Time.Testing;
using WixOAuth.Client.Tests.Support;

namespace WixOAuth.Client.Tests.EndToEnd;

/// <summary>Callers whose service dies, and callers whose token does: real processes and real HTTP.</summary>
[Collection(nameof(LocalProgram))]
public sealed class OutageTests(LocalProgram program)
{
    [Fact]
    public async Task No_caller_fails_while_its_token_lives_though_the_service_is_killed_for_a_minute()
    {
        var instance = await program.InstallAsync("Outage");
        var (service, url) = await program.StartServiceAsync(FreePort.NextUrl());
        var time = new FakeTimeProvider();
        await using var client = new WatchedClient(url, program.WixUrl, time);
        await client.CallAsync(instance);
        Assert.Equal((1, 1), (client.Asked, client.Answered));

        // 40 % of its life is left: it is refreshed in the background, by a request whose connection the kill breaks.
        time.Advance(TimeSpan.FromSeconds(180));
        var killed = new TaskCompletionSource();
        client.Gate = killed.Task;
        await client.CallAsync(instance);
        await TestClient.UntilAsync(() => client.Asked == 2);
        using (service)
        {
            service.Kill();
            var gone = service.WaitForExitAsync();
            while (!gone.IsCompleted)
            {
                await client.CallAsync(instance);
            }

            await gone;
        }

        killed.SetResult();
        for (var second = 0; second < 60; second++)
        {
            await client.CallAsync(instance);
            await TestClient.UntilAsync(() => !client.IsBusy);
            time.Advance(TimeSpan.FromSeconds(1));
        }

        // Asked with growing pauses: not by every caller.
        Assert.Equal(1, client.Answered);
        Assert.InRange(client.Asked, 4, 20);

        (service, _) = await program.StartServiceAsync(url.GetLeftPart(UriPartial.Authority));
        try
        {
            time.Advance(TimeSpan.FromSeconds(15));
            await TestClient.UntilAsync(async () =>
            {
                await client.CallAsync(instance);
                return client.Answered == 2;
            });

            // The token from before the outage would be dead by now.
            time.Advance(TimeSpan.FromSeconds(60));
            await client.CallAsync(instance);
            Assert.Equal(2, client.Answered);
        }
        finally
        {
            await LocalProgram.EndAsync(service);
        }
    }

    [Fact]
    public async Task One_report_of_a_token_that_Wix_revoked_replaces_it_for_every_caller()
    {
        var instance = await program.InstallAsync("Revoked");
        await using var client = new WatchedClient(program.Url, program.WixUrl, TimeProvider.System);
        var revoked = (await client.Tokens.GetTokenAsync(instance)).Token;

        // Removed and installed again behind the service's back.
        await program.ControlAsync("", new { sendWebhooks = false });
        try
        {
            await program.ControlAsync("remove", new { instanceId = instance });
            await program.ConsentAsync(instance);
        }
        finally
        {
            await program.ControlAsync("", new { sendWebhooks = true });
        }

        var sites = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => Task.Run(async () =>
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "/apps/v1/instance").SetWixInstance(instance);
            using var response = await client.Wix.SendAsync(request);
            return await response.EnsureSuccessStatusCode().Content.ReadAsStringAsync();
        })));

        Assert.All(sites, site => Assert.Contains("\"Revoked\"", site, StringComparison.Ordinal));
        Assert.Equal(1, client.Reports);
        Assert.NotEqual(revoked, (await client.Tokens.GetTokenAsync(instance)).Token);
    }
}

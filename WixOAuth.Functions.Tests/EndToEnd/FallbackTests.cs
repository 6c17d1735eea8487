using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.PretendWix;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>The whole program while Wix refuses refresh tokens: none is lost, and operators are told.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class FallbackTests(AzuriteFixture azurite)
{
    [Fact]
    public async Task An_HTML_page_in_place_of_a_refresh_changes_no_grant()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var id = await bed.InstallAsync();
        bed.Wix.Control.Fail(PretendWixEndpoints.Access, new PretendWixFault { Status = 403, Body = "<html>Forbidden</html>", Times = 1 });

        using var refreshed = await bed.CallAsync(HttpMethod.Post, $"instances/{id}/refresh");

        Assert.Equal(HttpStatusCode.NoContent, refreshed.StatusCode);
        await AssertGrantsAsync(bed, id, refreshToken: "ok");
        Assert.Equal(0, bed.Wix.Control.CountsOf(id).Grants.GetValueOrDefault("client_credentials"));
    }

    [Fact]
    public async Task A_site_on_the_fallback_degrades_the_health_until_its_refresh_token_works_again()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var id = await bed.InstallAsync();
        bed.Wix.Control.Fail(PretendWixEndpoints.Access, new PretendWixFault { Status = 403 });

        using (var refreshed = await bed.CallAsync(HttpMethod.Post, $"instances/{id}/refresh"))
        {
            Assert.Equal(HttpStatusCode.NoContent, refreshed.StatusCode);
        }

        await bed.SweepAsync();
        await AssertGrantsAsync(bed, id, refreshToken: "rejected");
        Assert.Equal(["sites_on_fallback"], await DegradedAsync(bed));
        Assert.Single(bed.Logs.Lines(LogLevel.Warning), line => line.Contains($"{id}", StringComparison.Ordinal) && line.Contains("client credentials", StringComparison.Ordinal));

        bed.Wix.Control.Heal(PretendWixEndpoints.Access);
        bed.Clock.Advance(TimeSpan.FromDays(1));
        await bed.SweepAsync();
        await AssertGrantsAsync(bed, id, refreshToken: "ok");
        Assert.Empty(await DegradedAsync(bed));
    }

    [Fact]
    public async Task A_first_sweep_that_does_not_come_is_overdue_after_five_minutes()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        Assert.Empty(await DegradedAsync(bed));

        bed.Clock.Advance(TimeSpan.FromMinutes(4));
        Assert.Empty(await DegradedAsync(bed));
        bed.Clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(["sweep_overdue"], await DegradedAsync(bed));

        await bed.SweepAsync();
        bed.Clock.Advance(TimeSpan.FromSeconds(11));
        Assert.Empty(await DegradedAsync(bed));
    }

    [Fact]
    public async Task A_process_that_does_not_sweep_reports_the_suspicion_of_those_that_do()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var ledger = bed.Host.Services.GetRequiredService<AppSecretLedger>();
        var states = bed.Host.Services.GetRequiredService<ISweepStateStore>();
        ledger.Suspect(3);
        Assert.Equal(["secret_suspect"], await DegradedAsync(bed));

        // Another process has refreshed every site since, so that this one asks Wix for nothing.
        await SaveAsync(isSecretSuspect: false);
        bed.Clock.Advance(TimeSpan.FromSeconds(11));
        Assert.Empty(await DegradedAsync(bed));

        ledger.Trust();
        await SaveAsync(isSecretSuspect: true);
        bed.Clock.Advance(TimeSpan.FromSeconds(11));
        Assert.Equal(["secret_suspect"], await DegradedAsync(bed));

        Task SaveAsync(bool isSecretSuspect) => states.SaveSweepStateAsync(
            new SweepState(bed.Clock.GetUtcNow(), OnFallback: 0, Unreadable: 0, isSecretSuspect, IsWixThrottled: false), CancellationToken.None);
    }

    [Fact]
    public async Task A_sweep_more_than_five_minutes_in_the_future_says_nothing_of_now()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        await bed.SweepAsync();
        await SweptAsync(TimeSpan.FromMinutes(4));
        Assert.Empty(await DegradedAsync(bed));

        bed.Clock.Advance(TimeSpan.FromSeconds(11));
        await SweptAsync(TimeSpan.FromMinutes(6));
        Assert.Equal(["sweep_overdue"], await DegradedAsync(bed));

        Task SweptAsync(TimeSpan ahead)
        {
            var state = new SweepState(bed.Clock.GetUtcNow() + ahead, OnFallback: 0, Unreadable: 0, IsSecretSuspect: false, IsWixThrottled: false);
            return bed.Host.Services.GetRequiredService<ISweepStateStore>().SaveSweepStateAsync(state, CancellationToken.None);
        }
    }

    private static async Task AssertGrantsAsync(TestBed bed, Guid id, string refreshToken)
    {
        var instance = await bed.GetInstanceAsync(id);
        Assert.Equal(refreshToken, instance.GetProperty("refresh_token").GetString());
        Assert.Equal("refresh_token", (await bed.RowsOfAsync(id)).Single(row => row.RowKey.StartsWith("i|", StringComparison.Ordinal)).GetString("Grant"));
    }

    private static async Task<List<string?>> DegradedAsync(TestBed bed)
    {
        using var answer = await bed.CallAsync(HttpMethod.Get, "health", key: null);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return [.. (await TestBed.ReadJsonAsync(answer)).GetProperty("degraded").EnumerateArray().Select(word => word.GetString())];
    }
}

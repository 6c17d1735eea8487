namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>Everything that is logged, by whomever, in a life with every kind of trouble: no secret is in it.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class LogSecrecyTests(AzuriteFixture azurite)
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task No_secret_that_occurred_is_logged(bool frameworksAtTrace)
    {
        var levels = frameworksAtTrace
            ? new[] { "Microsoft", "Microsoft.AspNetCore", "Microsoft.AspNetCore.Hosting.Diagnostics", "System.Net.Http", "Azure", "Polly" }
            : [];
        await using var bed = await TestBed.StartWithWebhooksAsync(azurite, [.. levels.Select(name => ($"Logging__LogLevel__{name}", "Trace"))]);

        var (id, secrets) = await TroubledLife.LiveAsync(bed);

        var logs = bed.Logs.Everything;
        Assert.Contains(id.ToString(), logs, StringComparison.Ordinal);
        TroubledLife.AssertNothingToldIn(logs, secrets);
    }
}

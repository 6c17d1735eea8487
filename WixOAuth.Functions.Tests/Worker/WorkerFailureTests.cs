using System.Net;
using WixOAuth.Functions.Tests.EndToEnd;
using WixOAuth.Functions.Tests.Worker.Rpc;
using WixOAuth.Instances;
using WixOAuth.Processes;

namespace WixOAuth.Functions.Tests.Worker;

/// <summary>The Function App in its real worker process, when something fails or ends.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class WorkerFailureTests(AzuriteFixture azurite)
{
    [Fact]
    public async Task Timers_are_reported_as_failed_when_the_table_is_down()
    {
        // Asks for a longer pause than the service makes, so that no call is repeated.
        await using var down = await CountingProxy.StartAsync(azurite.NewTable().ConnectionString!, CancellationToken.None, (_, _) => Task.FromResult<StorageAnswer?>(
            new(503, new Dictionary<string, string[]> { ["x-ms-request-id"] = ["1"], ["Retry-After"] = ["60"] }, default)));
        await using var bed = await WorkerBed.StartAsync(azurite, ("Tables__ConnectionString", down.ConnectionString));

        foreach (var name in new[] { "RefreshTokens", "Housekeeping" })
        {
            var result = await bed.Host.RunTimerAsync(name);

            Assert.Equal(StatusResult.Types.Status.Failure, result.Status);
            Assert.Contains($"{name} failed: StorageUnavailableException.", result.Exception.Message, StringComparison.Ordinal);
            bed.AssertNoSecretIn($"{result.Exception.Message} {result.Exception.StackTrace}");
        }

        Assert.Contains("The sweep failed (StorageUnavailableException)", bed.Host.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("0 due, 0 refreshed", bed.Host.Output, StringComparison.Ordinal);
        await TestBed.AssertProblemAsync(await bed.SendAsync(HttpMethod.Get, $"instances/{Guid.NewGuid()}/token"), 503, "storage_unavailable");
        await bed.EndAsync();
    }

    /// <summary>No function may throw for this reason, and WixOAuth.Local does the same.</summary>
    [Fact]
    public async Task Function_that_throws_answers_an_empty_200()
    {
        await using var host = await FunctionsHost.ListenAsync(functionKey: null);
        await host.StartWorkerAsync(FunctionsHost.Built("EmptyFunctionApp"), new Dictionary<string, string?>());
        using var http = new HttpClient();

        using var response = await http.GetAsync(new Uri(host.Url, "/api/throws"));

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Empty(await response.Content.ReadAsByteArrayAsync());
        var result = await host.LatestInvocation;
        Assert.Equal(StatusResult.Types.Status.Failure, result.Status);
        Assert.Contains("thrown on purpose", result.Exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Request_in_flight_is_answered_after_SIGTERM_and_what_it_spent_is_saved()
    {
        await using var bed = await WorkerBed.StartAsync(azurite);
        using var browser = new TestBrowser();
        var site = bed.Wix.CreateSite("One");
        var redirect = await bed.WalkToRedirectAsync(browser, site.InstanceId);
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        bed.Wix.Control.GateAfter = async (_, _) =>
        {
            reached.TrySetResult();
            await open.Task;
        };

        var opening = browser.GetAsync(redirect);
        await reached.Task.WaitAsync(TimeSpan.FromMinutes(3));
        bed.Host.Process.Terminate();
        open.SetResult();

        using var response = await opening;
        Assert.Equal("/installer/close-window", TestBrowser.LocationOf(response).AbsolutePath);
        Assert.Equal(0, await bed.Host.Process.Ended.WaitAsync(TimeSpan.FromMinutes(3)));
        var saved = (await bed.Store.FindAsync(new InstanceId(site.InstanceId), CancellationToken.None))!.Instance;
        Assert.Equal((InstanceStatus.Active, RefreshTokenState.Ok), (saved.Status, saved.RefreshTokenState));

        // What the request started in the background, after the signal, ended too.
        Assert.NotNull(saved.SetupCompletedAt);
        bed.AssertNoSecretIn(bed.Host.Output);
    }

    [Fact]
    public async Task Bad_settings_are_a_line_each_on_standard_error_and_end_the_process()
    {
        await using var host = await FunctionsHost.ListenAsync(functionKey: null);
        host.Launch(FunctionsHost.Built("FunctionApp"), new Dictionary<string, string?>
        {
            ["Wix__RedirectUrl"] = "bad-redirect-url",
            ["Wix__AppSecret"] = TestBed.AppSecret,
            ["Tokens__ProtectionKey"] = "bad-protection-key",
            ["Tables__ConnectionString"] = "UseDevelopmentStorage=true",
            ["RefreshSchedule"] = "bad-schedule",
            ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "bad-endpoint",
        });

        Assert.Equal(1, await host.Process.Ended.WaitAsync(TimeSpan.FromMinutes(3)));
        Assert.Equal(
            ["HousekeepingSchedule", "OTEL_EXPORTER_OTLP_ENDPOINT", "RefreshSchedule", "Tokens__ProtectionKey", "Wix__AppId", "Wix__RedirectUrl"],
            host.Errors.Select(line => line.Split(' ')[0]).Order(StringComparer.Ordinal));
        Assert.All(host.Errors, line => Assert.Contains(" should be ", line, StringComparison.Ordinal));
        Assert.DoesNotContain("bad-", host.Output, StringComparison.Ordinal);
        Assert.DoesNotContain(TestBed.AppSecret, host.Output, StringComparison.Ordinal);
    }
}

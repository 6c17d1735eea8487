using System.Collections.Concurrent;
using System.Net;
using System.Text;
using WixOAuth.Functions.Tests.Events;
using WixOAuth.Processes;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>What events cost the storage before they are delivered: nothing that the change itself does not cost.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class EventTransactionTests(AzuriteFixture azurite)
{
    private readonly ConcurrentQueue<StorageRequest> _requests = new();

    [Fact]
    public async Task An_event_adds_no_transaction_to_the_change_that_it_tells_of()
    {
        var silent = await RunAsync(receiver: null);
        await using var receiver = await EventReceiver.StartAsync();
        var told = await RunAsync(receiver.Url);
        Assert.Empty(receiver.All);

        Assert.Equal(silent.Select(step => (step.Name, step.Requests.Count)), told.Select(step => (step.Name, step.Requests.Count)));

        // The clone's first refresh also writes its last use, and then its site: a read and a write.
        Assert.Equal(
            [("redirect", 4), ("memory hit", 0), ("refresh", 3), ("refresh of a clone", 6)],
            told.Select(step => (step.Name, step.Requests.Count)));
        Assert.All(silent, step => Assert.DoesNotContain(step.Requests, request => request.Contains("o|", StringComparison.Ordinal)));
        Assert.Equal([1, 0, 0, 1], told.Select(step => step.Requests.Count(request => request.Contains($"o|{step.Instance}|", StringComparison.Ordinal))));
        Assert.All(
            told.SelectMany(step => step.Requests, (step, request) => (step.Instance, Request: request)).Where(each => each.Request.Contains("o|", StringComparison.Ordinal)),
            each => Assert.Contains($"i|{each.Instance}", each.Request, StringComparison.Ordinal));
    }

    private async Task<IReadOnlyList<(string Name, Guid Instance, IReadOnlyList<string> Requests)>> RunAsync(Uri? receiver)
    {
        await using var proxy = await CountingProxy.StartAsync(azurite.NewTable().ConnectionString!, CancellationToken.None, WatchAsync);
        (string, string)[] settings = [("Tables__ConnectionString", proxy.ConnectionString), ("Wix__SetupCompletion", "Never")];
        (string, string)[] events = receiver is null ? [] : [("Events__Url", receiver.AbsoluteUri), ("Events__Secret", EventReceiver.Secret)];
        await using var bed = await TestBed.StartWithWebhooksAsync(azurite, [.. settings, .. events]);
        bed.Wix.Control.Switches = bed.Wix.Control.Switches with { SendWebhooks = false };
        List<(string Name, Guid Instance, IReadOnlyList<string> Requests)> steps = [];
        async Task StepAsync(string name, Guid instance, Func<Task<HttpResponseMessage>> step, HttpStatusCode expected)
        {
            await bed.SettleAsync();
            _requests.Clear();
            using var response = await step();
            Assert.Equal(expected, response.StatusCode);
            await bed.SettleAsync();
            steps.Add((name, instance, [.. _requests.Select(TextOf)]));
        }

        // The first install warms up: keys are checked, and the table is made.
        await bed.InstallAsync();
        using var browser = new TestBrowser();
        var site = bed.Wix.CreateSite("Counted").InstanceId;
        var redirect = await bed.WalkToRedirectAsync(browser, site);
        await StepAsync("redirect", site, () => browser.GetAsync(redirect), HttpStatusCode.Redirect);

        // The last use is written once an hour, beside the first of these.
        using var first = await bed.GetTokenAsync(site);
        await StepAsync("memory hit", site, () => bed.GetTokenAsync(site), HttpStatusCode.OK);
        await StepAsync("refresh", site, () => bed.CallAsync(HttpMethod.Post, $"instances/{site}/refresh"), HttpStatusCode.NoContent);

        // Nobody has consented to a clone here: its first refresh has the event that it is connected.
        var clone = bed.Wix.Clone(site).InstanceId;
        using var installed = await bed.PostWebhookAsync(bed.Wix.SignWebhook("AppInstalled", clone));
        await StepAsync("refresh of a clone", clone, () => bed.CallAsync(HttpMethod.Post, $"instances/{clone}/refresh"), HttpStatusCode.NoContent);
        return steps;
    }

    // A delivery begins with a query, which fails here: it would have requests of its own.
    private async Task<StorageAnswer?> WatchAsync(StorageRequest request, Func<Task<StorageAnswer>> forward)
    {
        if (request.Method == "GET" && Uri.UnescapeDataString(request.Target).Contains("'o|", StringComparison.Ordinal))
        {
            return null;
        }

        _requests.Enqueue(request);
        return await forward();
    }

    private static string TextOf(StorageRequest request) =>
        $"{request.Method} {Uri.UnescapeDataString(request.Target)}\n{Uri.UnescapeDataString(Encoding.UTF8.GetString(request.Body.Span))}";
}

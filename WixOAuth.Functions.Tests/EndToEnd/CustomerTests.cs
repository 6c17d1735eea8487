using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Azure.Data.Tables;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Maintenance;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>Setting, finding and erasing customers.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class CustomerTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private TestBed _bed = null!;

    public async Task InitializeAsync() => _bed = await TestBed.StartAsync(azurite);

    public async Task DisposeAsync() => await _bed.DisposeAsync();

    [Fact]
    public async Task A_customer_is_set_changed_and_cleared()
    {
        var id = await _bed.InstallAsync();

        foreach (var customer in new[] { "acme", "Zoë 😀", null, "acme" })
        {
            Assert.Equal(HttpStatusCode.NoContent, (await SetAsync(id, customer)).StatusCode);
            Assert.Equal(customer, (await _bed.GetInstanceAsync(id)).GetProperty("customer").GetString());
        }

        Assert.Equal(HttpStatusCode.NoContent, (await SetAsync(id, "acme")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await _bed.GetTokenAsync(id)).StatusCode);
    }

    [Fact]
    public async Task A_customer_of_an_unknown_or_removed_site_is_not_set()
    {
        await TestBed.AssertProblemAsync(await SetAsync(Guid.NewGuid(), "acme"), 404, "unknown_instance");
        var id = await _bed.InstallAsync();
        await _bed.CallAsync(HttpMethod.Delete, $"instances/{id}");
        await TestBed.AssertProblemAsync(await SetAsync(id, "acme"), 410, "app_removed");
        using var body = JsonContent.Create(new { customer = "acme" });
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Put, "instances/no-guid/customer", body), 400, "invalid_request");
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("[]")]
    [InlineData("""{"customer":""}""")]
    [InlineData("""{"customer":" "}""")]
    [InlineData("""{"customer":7}""")]
    [InlineData("""{"customer":"a\tb"}""")]
    [InlineData("""{"Customer":"a"}""")]
    [InlineData("""{"customer":"a","name":"b"}""")]
    [InlineData("""{"customer":"\u200b \u2060"}""")]
    [InlineData("""{"customer":"\u034f"}""")]
    [InlineData("""{"customer":"\ufe0f"}""")]
    [InlineData("""{"customer":"\udb40\udd00"}""")]
    [InlineData("""{"customer":"\u2065"}""")]
    public async Task A_bad_body_is_an_invalid_request(string body)
    {
        var id = await _bed.InstallForAsync("acme");

        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Put, $"instances/{id}/customer", new StringContent(body)), 400, "invalid_request");

        Assert.Equal("acme", (await _bed.GetInstanceAsync(id)).GetProperty("customer").GetString());
    }

    [Fact]
    public async Task Sites_are_listed_by_customer_page_by_page_and_by_status()
    {
        List<Guid> mine = [];
        for (var number = 0; number < 7; number++)
        {
            mine.Add(await _bed.InstallForAsync("O'Neil & Søns"));
            await _bed.InstallForAsync("o'neil & søns");
        }

        var listed = await ListAsync("customer=O%27Neil%20%26%20S%C3%B8ns&limit=3");
        Assert.Equal(mine.Order(), listed.Order());
        Assert.Equal(mine.Order(), (await ListAsync("customer=O%27Neil%20%26%20S%C3%B8ns&status=active&limit=200")).Order());
        Assert.Empty(await ListAsync("customer=O%27Neil%20%26%20S%C3%B8ns&status=reinstall_required"));
        Assert.Empty(await ListAsync("customer=O"));

        // A cursor belongs to its list.
        var cursor = (await TestBed.ReadJsonAsync(await _bed.CallAsync(HttpMethod.Get, "instances?limit=1&customer=O%27Neil%20%26%20S%C3%B8ns"))).GetProperty("cursor").GetString();
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Get, $"instances?cursor={cursor}"), 400, "invalid_request");
    }

    [Fact]
    public async Task An_empty_customer_does_not_list_the_sites_of_all_customers()
    {
        await _bed.InstallForAsync("acme");

        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Get, "instances?customer="), 400, "invalid_request");
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Get, "instances?customer"), 400, "invalid_request");
    }

    [Theory]
    [InlineData(200, 200)]
    [InlineData(201, 400)]
    [InlineData(4_000, 400)]
    public async Task A_customer_that_is_too_long_is_an_invalid_request(int length, int status)
    {
        using var answer = await _bed.CallAsync(HttpMethod.Get, $"instances?customer={new string('a', length)}");

        Assert.Equal(status, (int)answer.StatusCode);
    }

    [Theory]
    [InlineData("%20")]
    [InlineData("a%09b")]
    [InlineData("%E2%80%8B")]
    public async Task A_customer_that_nobody_can_have_is_an_invalid_request(string customer) =>
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Get, $"instances?customer={customer}"), 400, "invalid_request");

    [Theory]
    [InlineData("GET", "instances?customr=acme", "customr")]
    [InlineData("GET", "instances?status=active&x=1", "x")]
    [InlineData("GET", "instances/00000000-0000-4000-8000-000000000001?x=", "x")]
    [InlineData("GET", "instances/00000000-0000-4000-8000-000000000001/token?minttl=5", "minttl")]
    [InlineData("POST", "instances/00000000-0000-4000-8000-000000000001/refresh?force", "force")]
    [InlineData("POST", "instances/00000000-0000-4000-8000-000000000001/setup?x=1", "x")]
    [InlineData("DELETE", "instances/00000000-0000-4000-8000-000000000001?dry-run=true", "dry-run")]
    [InlineData("PUT", "instances/00000000-0000-4000-8000-000000000001/customer?customer=acme", "customer")]
    [InlineData("POST", "install-links?customer=acme", "customer")]
    [InlineData("PUT", "instances/00000000-0000-4000-8000-000000000001?refresh-token=x", "refresh-token")]
    [InlineData("POST", "events/redeliver?instance=1", "instance")]
    [InlineData("GET", "status/view?q=acme", "q")]
    public async Task An_unknown_parameter_is_refused_and_named(string method, string path, string name)
    {
        using var body = JsonContent.Create(new { customer = "acme" });
        using var answer = await _bed.CallAsync(new HttpMethod(method), path, method is "PUT" or "POST" ? body : null);

        await TestBed.AssertProblemAsync(answer, 400, "invalid_request");
        Assert.Contains($" {name} ", (await TestBed.ReadJsonAsync(answer)).GetProperty("title").GetString(), StringComparison.Ordinal);
        Assert.Empty(await _bed.RowsAsync());
    }

    [Fact]
    public async Task Every_function_with_a_key_refuses_an_unknown_parameter()
    {
        foreach (var row in Repository.Table("docs/http-api.md", "## Functions").Where(row => row[3] == "yes"))
        {
            var path = row[2]["/api/".Length..].Replace("{instanceId}", Guid.NewGuid().ToString(), StringComparison.Ordinal);
            using var body = JsonContent.Create(new { customer = "acme" });
            using var answer = await _bed.CallAsync(new HttpMethod(row[1]), $"{path}?colour=blue", row[1] is "PUT" or "POST" ? body : null);

            await TestBed.AssertProblemAsync(answer, 400, "invalid_request");
            Assert.Contains(" colour ", (await TestBed.ReadJsonAsync(answer)).GetProperty("title").GetString(), StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_customer_does_not_outlive_the_removal(bool isForgotten)
    {
        var id = await _bed.InstallForAsync("acme", "Ann's Café");
        await EndAsync(id, isForgotten);

        await AssertErasedAsync(id);

        // A later consent without a link may be another owner's.
        using var browser = new TestBrowser();
        TestBrowser.LocationOf(await browser.GetAsync(await _bed.WalkToRedirectAsync(browser, id)));
        Assert.Equal(JsonValueKind.Null, (await _bed.GetInstanceAsync(id)).GetProperty("customer").ValueKind);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_tombstone_of_an_earlier_version_is_erased(bool byForgettingAgain)
    {
        var id = await _bed.InstallForAsync("acme", "Ann's Café");
        await EndAsync(id, isForgotten: true);
        var row = (await _bed.RowsOfAsync(id)).Single(stored => stored.RowKey == $"i|{id}");
        (row["Customer"], row["SiteName"], row["SiteUrl"], row["AppVersion"]) = ("acme", "Ann's Café", "https://ann.example/", "1.0.0");
        await _bed.Table.UpdateEntityAsync(row, row.ETag, TableUpdateMode.Replace);

        if (byForgettingAgain)
        {
            await EndAsync(id, isForgotten: true);
        }
        else
        {
            await _bed.Host.Services.GetRequiredService<Housekeeping>().RunAsync(CancellationToken.None);
        }

        await AssertErasedAsync(id);
    }

    [Fact]
    public async Task A_site_is_forgotten_although_the_caller_leaves()
    {
        var id = await _bed.InstallForAsync("acme", "Ann's Café");
        var endpoint = _bed.Host.Services.GetRequiredService<WixOAuth.Http.InstanceEndpoints>();

        using var leaving = new CancellationTokenSource();
        var forgetting = endpoint.ForgetInstance(new DefaultHttpContext().Request, $"{id}", leaving.Token);
        await leaving.CancelAsync();
        await forgetting;

        await AssertErasedAsync(id);
    }

    private async Task EndAsync(Guid id, bool isForgotten)
    {
        using var ended = isForgotten
            ? await _bed.CallAsync(HttpMethod.Delete, $"instances/{id}")
            : await RemoveAsync(id);
        Assert.True(ended.IsSuccessStatusCode);
    }

    private async Task<HttpResponseMessage> RemoveAsync(Guid id)
    {
        await _bed.Host.Services.GetRequiredService<WixOAuth.Lifecycle.InstanceLifecycle>()
            .RemovedAsync(new WixOAuth.Instances.InstanceId(id), _bed.Clock.GetUtcNow().AddMinutes(1), CancellationToken.None);
        return new HttpResponseMessage(HttpStatusCode.OK);
    }

    private async Task AssertErasedAsync(Guid id)
    {
        Assert.All(await _bed.RowsAsync(), row => Assert.All(row.Keys.Select(key => row[key]).OfType<string>(), text =>
        {
            Assert.DoesNotContain("acme", text, StringComparison.Ordinal);
            Assert.DoesNotContain("Ann", text, StringComparison.Ordinal);
            Assert.DoesNotContain("http", text, StringComparison.Ordinal);
        }));
        var left = (await _bed.RowsOfAsync(id)).Single(stored => stored.RowKey == $"i|{id}").Keys.Where(key => !key.EndsWith("At", StringComparison.Ordinal));
        Assert.Empty(left.Except(["odata.etag", "PartitionKey", "RowKey", "Timestamp", "Status", "Grant", "Generation", "Forgotten", "InstalledBefore", "SetupPending", "ConsentId"]));
        var instance = await _bed.GetInstanceAsync(id);
        Assert.Equal("removed", instance.GetProperty("status").GetString());
        Assert.All(["customer", "site", "app_version"], name => Assert.Equal(JsonValueKind.Null, instance.GetProperty(name).ValueKind));
    }

    private async Task<HttpResponseMessage> SetAsync(Guid id, string? customer)
    {
        using var body = JsonContent.Create(new { customer });
        return await _bed.CallAsync(HttpMethod.Put, $"instances/{id}/customer", body);
    }

    private async Task<List<Guid>> ListAsync(string query)
    {
        List<Guid> listed = [];
        for (string? cursor = null; ;)
        {
            var page = await TestBed.ReadJsonAsync(await _bed.CallAsync(HttpMethod.Get, $"instances?{query}{(cursor is null ? "" : $"&cursor={cursor}")}"));
            listed.AddRange(page.GetProperty("instances").EnumerateArray().Select(instance => instance.GetProperty("instance_id").GetGuid()));
            if ((cursor = page.GetProperty("cursor").GetString()) is null)
            {
                return listed;
            }
        }
    }
}

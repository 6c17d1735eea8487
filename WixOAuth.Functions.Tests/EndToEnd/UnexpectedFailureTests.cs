using System.Net;
using Azure.Data.Tables;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Moq;
using WixOAuth.Http;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>What should never happen: a function that threw would answer an empty 200, so nothing may throw.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class UnexpectedFailureTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private const string Secret = "a-secret-that-got-into-a-message";
    private readonly Mock<IInstanceStore> _store = new(MockBehavior.Strict);
    private TestBed _bed = null!;

    public async Task InitializeAsync()
    {
        _store.SetReturnsDefault(Task.FromException<StoredInstance?>(new InvalidOperationException(Secret)));
        _store.Setup(store => store.InitializeAsync(It.IsAny<CancellationToken>())).ThrowsAsync(new StorageUnavailableException("The storage is down."));
        _store.Setup(store => store.FindAsync(It.IsAny<InstanceId>(), It.IsAny<CancellationToken>())).ThrowsAsync(new InvalidOperationException(Secret));
        var states = _store.As<IConsumedStateStore>();
        states.Setup(store => store.TryAddConsumedStateAsync(It.IsAny<ConsumedState>(), It.IsAny<CancellationToken>())).ThrowsAsync(new InvalidOperationException(Secret));
        _store.Setup(store => store.ReadDueAsync(It.IsAny<DateTimeOffset>(), It.IsAny<CancellationToken>(), It.IsAny<InstanceShard?>())).Throws(new InvalidOperationException(Secret));
        states.Setup(store => store.RemoveConsumedStatesAsync(It.IsAny<DateTimeOffset>(), It.IsAny<int>(), It.IsAny<CancellationToken>()))
            .ThrowsAsync(new StorageUnavailableException("The storage is down."));
        _store.Setup(store => store.ReadSummariesAsync(It.IsAny<CancellationToken>())).Returns(AsyncEnumerable.Empty<InstanceSummary>());
        _store.Setup(store => store.ListAsync(null, null, It.IsAny<int>(), It.IsAny<CancellationToken>())).ReturnsAsync(new InstancePage([], null));
        _bed = await TestBed.StartAsync(azurite, services => services
            .Replace(ServiceDescriptor.Singleton(_store.Object))
            .Replace(ServiceDescriptor.Singleton(states.Object))
            .Replace(ServiceDescriptor.Singleton<IKeyCheckStore>(new MemoryInstanceStore())));
    }

    public async Task DisposeAsync() => await _bed.DisposeAsync();

    [Fact]
    public async Task Every_keyed_endpoint_answers_a_problem()
    {
        var id = Guid.NewGuid();
        await TestBed.AssertProblemAsync(await _bed.GetTokenAsync(id), 500, "internal_error");
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Get, $"instances/{id}"), 500, "internal_error");
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Post, $"instances/{id}/refresh"), 500, "internal_error");
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Post, $"instances/{id}/setup"), 500, "internal_error");
        AssertOnlyTheKindIsLogged();
    }

    [Fact]
    public async Task The_redirect_answers_a_page()
    {
        using var browser = new TestBrowser();
        var redirect = await _bed.WalkToRedirectAsync(browser, _bed.Wix.CreateSite("One").InstanceId);

        using var response = await TestBrowser.FollowRefusalAsync(await browser.GetAsync(redirect));

        Assert.Equal(HttpStatusCode.InternalServerError, response.StatusCode);
        var page = await response.Content.ReadAsStringAsync();
        Assert.Contains("Start again", page, StringComparison.Ordinal);
        Assert.DoesNotContain(Secret, page, StringComparison.Ordinal);
        Assert.Equal("unsafe-none", TestBed.Header(response, "Cross-Origin-Opener-Policy"));
        TestBed.AssertCommonHeaders(response);
        AssertOnlyTheKindIsLogged();
    }

    [Fact]
    public async Task Health_is_unhealthy()
    {
        using var response = await _bed.CallAsync(HttpMethod.Get, "health", key: null);

        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.DoesNotContain(Secret, await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_failing_timer_is_reported_to_the_host_without_its_cause()
    {
        var timers = _bed.Host.Services.GetRequiredService<TimerEndpoints>();

        var sweep = await Assert.ThrowsAsync<TimerFailedException>(() => timers.RefreshTokens(CancellationToken.None));
        var housekeeping = await Assert.ThrowsAsync<TimerFailedException>(() => timers.Housekeeping(CancellationToken.None));

        Assert.Equal("RefreshTokens failed: InvalidOperationException.", sweep.Message);
        Assert.StartsWith("Housekeeping failed: ", housekeeping.Message, StringComparison.Ordinal);
        Assert.Null(sweep.InnerException);
        Assert.DoesNotContain(Secret, $"{sweep} {housekeeping}", StringComparison.Ordinal);
        AssertOnlyTheKindIsLogged();
    }

    [Fact]
    public async Task An_unavailable_state_key_is_answered_with_a_page()
    {
        var keys = new Mock<WixOAuth.Protection.IKeyRing>();
        keys.Setup(source => source.GetCurrentAsync(It.IsAny<CancellationToken>())).Throws(new WixOAuth.Secrets.SecretUnavailableException("down"));
        keys.Setup(source => source.FindAsync(It.IsAny<string>(), It.IsAny<CancellationToken>())).Throws(new WixOAuth.Secrets.SecretUnavailableException("down"));
        await using var bed = await TestBed.StartAsync(azurite, services => services.Replace(ServiceDescriptor.Singleton(keys.Object)));
        using var browser = new TestBrowser();

        using var response = await browser.GetAsync(new Uri(bed.Api, "install"));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Contains("Start again", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);

        await TestBed.AssertProblemAsync(
            await bed.CallAsync(HttpMethod.Post, "install-links", new StringContent("""{"customer":"c"}""")), 503, "storage_unavailable");
        using var health = await bed.CallAsync(HttpMethod.Get, "health", key: null);
        Assert.Equal("""{"status":"unhealthy","storage":"healthy","secrets":"unhealthy","degraded":[]}""", await health.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task A_row_that_this_version_cannot_read_is_a_503()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var id = await bed.InstallAsync();
        var table = new TableClient(bed.Settings["Tables__ConnectionString"], bed.Settings["Tables__Name"]);
        var row = table.Query<TableEntity>(filter: $"RowKey eq 'i|{id}'").Single();
        row["Status"] = "of-the-future";
        await table.UpdateEntityAsync(row, row.ETag);
        await bed.RestartAsync();

        await TestBed.AssertProblemAsync(await bed.GetTokenAsync(id), 503, "storage_unavailable");
        await TestBed.AssertProblemAsync(await bed.CallAsync(HttpMethod.Get, $"instances/{id}"), 503, "storage_unavailable");
        bed.Clock.Advance(TimeSpan.FromHours(1));
        await bed.SweepAsync();
    }

    private void AssertOnlyTheKindIsLogged()
    {
        Assert.Contains("InvalidOperationException", _bed.Logs.Everything, StringComparison.Ordinal);
        Assert.DoesNotContain(Secret, _bed.Logs.Everything, StringComparison.Ordinal);
    }
}

using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using WixOAuth.Client.Tests.Support;

namespace WixOAuth.Client.Tests;

public sealed class TokenCacheTests
{
    [Fact]
    public async Task The_service_is_asked_as_its_contract_says()
    {
        await using var client = new TestClient();

        var token = await client.Tokens.GetTokenAsync(client.Instance.ToString());

        var request = Assert.Single(client.Service.Requests);
        Assert.Equal($"https://tokens.example/api/instances/{client.Instance}/token", request.RequestUri!.AbsoluteUri);
        Assert.Equal([TestClient.Key], request.Headers.GetValues("x-functions-key"));
        Assert.Null(request.Headers.Authorization);
        Assert.Equal((client.Instance, "token-1", new DateTimeOffset(2026, 5, 4, 3, 7, 1, TimeSpan.Zero)), (token.InstanceId, token.Token, token.ExpiresOn));
        Assert.DoesNotContain("token-1", token.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("https://tokens.example/", "https://tokens.example/api/instances/")]
    [InlineData("https://tokens.example/api", "https://tokens.example/api/instances/")]
    [InlineData("https://gateway.example/wix/api/", "https://gateway.example/wix/api/instances/")]
    [InlineData("https://tokens.example//api", "https://tokens.example/api/instances/")]
    [InlineData("https://tokens.example//other.example/api?a=b", "https://tokens.example/other.example/api/instances/")]
    [InlineData("http://localhost:7071", "http://localhost:7071/api/instances/")]
    public async Task The_address_may_have_api_or_not(string url, string expected)
    {
        await using var client = new TestClient(options => options.Url = new Uri(url));
        await client.GetAsync();
        Assert.StartsWith(expected, Assert.Single(client.Service.Requests).RequestUri!.AbsoluteUri, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_entra_token_is_sent_beside_the_key()
    {
        await using var client = new TestClient(options => options.GetEntraToken = _ => ValueTask.FromResult("entra"));
        await client.GetAsync();
        var request = Assert.Single(client.Service.Requests);
        Assert.Equal("Bearer entra", request.Headers.Authorization!.ToString());
        Assert.True(request.Headers.Contains("x-functions-key"));
    }

    [Fact]
    public async Task An_entra_token_that_cannot_be_had_leaves_a_living_token_in_use()
    {
        var fails = false;
        await using var client = new TestClient(options => options.GetEntraToken = _ => fails ? throw new InvalidOperationException() : ValueTask.FromResult("entra"));
        await client.GetAsync();
        fails = true;
        client.Time.Advance(TimeSpan.FromSeconds(200));
        Assert.Equal("token-1", await client.GetAsync());
        client.Time.Advance(TimeSpan.FromSeconds(101));
        await Assert.ThrowsAsync<WixOAuthUnavailableException>(() => client.WithTimeAsync(client.GetAsync()));
    }

    [Fact]
    public async Task A_token_is_cached_until_40_percent_of_its_life_is_left_and_refreshed_in_the_background_then()
    {
        await using var client = new TestClient();
        await client.GetAsync();
        client.Time.Advance(TimeSpan.FromSeconds(179));
        Assert.Equal("token-1", await client.GetAsync());
        Assert.Single(client.Service.Requests);

        var gate = new TaskCompletionSource();
        client.Service.Gate = () => gate.Task;
        client.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("token-1", await client.GetAsync());
        await client.AskedAsync(2);
        Assert.Equal("token-1", await client.GetAsync());
        gate.SetResult();
        await TestClient.UntilAsync(async () => await client.GetAsync() == "token-2");
        Assert.Equal(2, client.Service.Requests.Count);
    }

    [Theory]
    [InlineData(300, 0, 180, 121)]
    [InlineData(300, 5, 180, 126)]
    [InlineData(50, 0, 30, 30)]
    [InlineData(14_400, 0, 8_640, 240)]
    public async Task A_refresh_of_a_living_token_asks_for_one_that_lives_longer(int life, int answeredAfter, int askedAfter, int minTtl)
    {
        await using var client = new TestClient();
        client.Service.Lifetime = TimeSpan.FromSeconds(life);
        var gate = new TaskCompletionSource();
        client.Service.Gate = () => gate.Task;
        var first = client.GetAsync();
        await client.AskedAsync(1);
        client.Time.Advance(TimeSpan.FromSeconds(answeredAfter));
        gate.SetResult();
        await first;

        client.Time.Advance(TimeSpan.FromSeconds(askedAfter - answeredAfter));
        Assert.Equal("token-1", await client.GetAsync());
        await TestClient.UntilAsync(async () => await client.GetAsync() == "token-2");
        client.Time.Advance(TimeSpan.FromSeconds(life));
        await client.GetAsync();

        Assert.Equal(["", $"?min_ttl={minTtl}", ""], client.Service.Requests.Select(request => request.RequestUri!.Query));
    }

    [Fact]
    public async Task A_token_near_its_end_is_not_handed_out_while_the_service_answers()
    {
        await using var client = new TestClient();
        await client.GetAsync();
        client.Time.Advance(TimeSpan.FromSeconds(269));
        Assert.Equal("token-1", await client.GetAsync());
        await TestClient.UntilAsync(async () => await client.GetAsync() == "token-2");

        client.Time.Advance(TimeSpan.FromSeconds(270));
        Assert.Equal("token-3", await client.GetAsync());
    }

    [Theory]
    [InlineData(HttpStatusCode.ServiceUnavailable)]
    [InlineData(HttpStatusCode.Forbidden)]
    public async Task A_token_near_its_end_is_better_than_a_failure(HttpStatusCode status)
    {
        await using var client = new TestClient();
        await client.GetAsync();
        client.Service.Answer = _ => new HttpResponseMessage(status);

        client.Time.Advance(TimeSpan.FromSeconds(275));
        Assert.Equal("token-1", await client.GetAsync());

        client.Time.Advance(TimeSpan.FromSeconds(25));
        await Assert.ThrowsAnyAsync<WixOAuthException>(() => client.WithTimeAsync(client.GetAsync()));
    }

    [Fact]
    public async Task A_token_near_its_end_is_returned_before_it_ends_however_slow_the_service_is()
    {
        await using var client = new TestClient();
        await client.GetAsync();
        client.Service.Gate = () => new TaskCompletionSource().Task;
        client.Time.Advance(TimeSpan.FromSeconds(296));

        var caller = client.GetAsync();
        await client.AskedAsync(2);
        Assert.False(caller.IsCompleted);
        client.Time.Advance(TimeSpan.FromSeconds(2));

        Assert.Equal("token-1", await caller);
    }

    [Fact]
    public async Task An_entra_token_that_does_not_come_is_given_up_after_15_seconds()
    {
        await using var client = new TestClient(options => options.GetEntraToken = _ => new ValueTask<string>(new TaskCompletionSource<string>().Task));

        await Assert.ThrowsAsync<WixOAuthUnavailableException>(() => client.WithTimeAsync(client.GetAsync()));
    }

    [Fact]
    public async Task Three_hundred_callers_of_one_stale_instance_share_one_request()
    {
        await using var client = new TestClient();
        await client.GetAsync();
        client.Time.Advance(TimeSpan.FromSeconds(301));
        var gate = new TaskCompletionSource();
        client.Service.Gate = () => gate.Task;

        var callers = Enumerable.Range(0, 300).Select(_ => Task.Run(client.GetAsync)).ToList();
        await client.AskedAsync(2);
        gate.SetResult();

        Assert.All(await Task.WhenAll(callers), token => Assert.Equal("token-2", token));
        Assert.Equal(2, client.Service.Requests.Count);
    }

    [Fact]
    public async Task A_caller_that_gives_up_does_not_cancel_the_others()
    {
        await using var client = new TestClient();
        var gate = new TaskCompletionSource();
        client.Service.Gate = () => gate.Task;
        using var impatient = new CancellationTokenSource();
        var first = client.Tokens.GetTokenAsync(client.Instance, impatient.Token).AsTask();
        var second = client.GetAsync();
        await impatient.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        gate.SetResult();
        Assert.Equal("token-1", await second);
        Assert.Single(client.Service.Requests);
    }

    [Fact]
    public async Task Instances_have_tokens_of_their_own()
    {
        await using var client = new TestClient();
        var other = await client.Tokens.GetTokenAsync(Guid.NewGuid());
        Assert.NotEqual(other.Token, await client.GetAsync());
    }

    [Theory]
    [InlineData(409, "reinstall_required", typeof(ReinstallRequiredException))]
    [InlineData(410, "app_removed", typeof(AppRemovedException))]
    [InlineData(404, "unknown_instance", typeof(UnknownInstanceException))]
    public async Task The_end_of_an_installation_is_an_exception_of_its_own_and_evicts_the_token(int status, string code, Type type)
    {
        await using var client = new TestClient();
        await client.GetAsync();
        client.Service.Answer = _ => StubService.Problem(status, code);
        client.Time.Advance(TimeSpan.FromSeconds(200));
        await client.GetAsync();
        await client.AskedAsync(2);

        WixOAuthException? thrown = null;
        await TestClient.UntilAsync(async () => (thrown = await Record.ExceptionAsync(client.GetAsync) as WixOAuthException) is not null);
        Assert.Equal((type, code, (HttpStatusCode)status), (thrown!.GetType(), thrown.Code, thrown.Status!.Value));

        // A reinstall is seen at once.
        client.Service.Answer = null;
        Assert.Equal("token-2", await client.GetAsync());
    }

    [Fact]
    public async Task A_404_without_a_problem_is_a_wrong_address_and_not_an_unknown_instance()
    {
        await using var client = new TestClient();
        client.Service.Answer = _ => new HttpResponseMessage(HttpStatusCode.NotFound);
        var thrown = await Assert.ThrowsAsync<WixOAuthException>(client.GetAsync);
        Assert.Equal((null, HttpStatusCode.NotFound), (thrown.Code, thrown.Status!.Value));
    }

    [Fact]
    public async Task A_wrong_key_fails_at_once_and_is_not_in_the_message()
    {
        await using var client = new TestClient();
        client.Service.Answer = _ => new HttpResponseMessage(HttpStatusCode.Unauthorized);
        var thrown = await Assert.ThrowsAsync<WixOAuthException>(client.GetAsync);
        Assert.Equal(HttpStatusCode.Unauthorized, thrown.Status);
        Assert.Single(client.Service.Requests);
        Assert.DoesNotContain(TestClient.Key, thrown.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_call_waits_through_a_short_outage()
    {
        await using var client = new TestClient();
        var failures = 2;
        client.Service.Answer = _ => failures-- > 0 ? StubService.Problem(503, "wix_unavailable", 1) : client.Service.NewToken();
        var call = client.GetAsync();
        for (var pause = 1; pause <= 2; pause++)
        {
            // Only then: the caller gives up after 15 seconds.
            await TestClient.UntilAsync(() => client.Time.Waits(TimeSpan.FromSeconds(1)) == pause);
            client.Time.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.Equal("token-1", await call);
        Assert.Equal(3, client.Service.Requests.Count);
    }

    [Fact]
    public async Task Every_caller_honours_Retry_After()
    {
        await using var client = new TestClient();
        client.Service.Answer = _ => StubService.Problem(503, "wix_unavailable", 30);
        var thrown = await Assert.ThrowsAsync<WixOAuthUnavailableException>(client.GetAsync);
        Assert.Equal((TimeSpan.FromSeconds(30), "wix_unavailable"), (thrown.RetryAfter, thrown.Code));
        await TestClient.UntilAsync(() => client.GetAsync().IsFaulted);

        client.Service.Answer = null;
        client.Time.Advance(TimeSpan.FromSeconds(29));
        await Assert.ThrowsAsync<WixOAuthUnavailableException>(client.GetAsync);
        Assert.Single(client.Service.Requests);
        client.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("token-1", await client.GetAsync());
    }

    [Fact]
    public async Task A_caller_that_is_held_back_is_told_the_rest_of_Retry_After()
    {
        await using var client = new TestClient();
        client.Service.Answer = _ => StubService.Problem(503, "wix_unavailable", 30);
        var first = await Assert.ThrowsAsync<WixOAuthUnavailableException>(client.GetAsync);
        await TestClient.UntilAsync(() => client.GetAsync().IsFaulted);
        client.Time.Advance(TimeSpan.FromSeconds(10));

        var second = await Assert.ThrowsAsync<WixOAuthUnavailableException>(client.GetAsync);

        Assert.NotSame(first, second);
        Assert.Equal((TimeSpan.FromSeconds(20), first.Message, first.Code, first.Status), (second.RetryAfter!.Value, second.Message, second.Code, second.Status));
    }

    [Fact]
    public async Task A_living_token_is_returned_when_its_report_by_another_caller_finds_the_service_down()
    {
        await using var client = new TestClient();
        var token = await client.GetAsync();
        var gate = new TaskCompletionSource();
        client.Service.Gate = () => gate.Task;
        client.Service.Answer = _ => StubService.Problem(503, "storage_unavailable", 60);

        var replacement = client.Tokens.ReplaceTokenAsync(client.Instance, token).AsTask();
        await client.AskedAsync(2);
        var other = client.GetAsync();
        gate.SetResult();

        await Assert.ThrowsAsync<WixOAuthUnavailableException>(() => replacement);
        Assert.Equal(token, await other);
    }

    [Fact]
    public async Task No_caller_fails_while_its_token_lives_though_the_service_is_down_for_a_minute()
    {
        await using var client = new TestClient();
        await client.GetAsync();
        client.Service.Answer = _ => throw new HttpRequestException("connection refused");
        client.Time.Advance(TimeSpan.FromSeconds(180));

        for (var second = 0; second < 60; second++)
        {
            var tokens = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => client.GetAsync()));
            Assert.All(tokens, token => Assert.Equal("token-1", token));
            await client.AskedAsync(2);
            client.Time.Advance(TimeSpan.FromSeconds(1));
        }

        // Asked with growing pauses: not by every caller.
        Assert.True(client.Service.Requests.Count <= 20);
        client.Service.Answer = null;

        // A request that began before may still fail, and its pause begins then.
        await TestClient.UntilAsync(async () =>
        {
            client.Time.Advance(TimeSpan.FromSeconds(1));
            return await client.GetAsync() == "token-2";
        });
    }

    [Fact]
    public async Task A_dead_token_is_never_returned()
    {
        await using var client = new TestClient();
        await client.GetAsync();
        client.Service.Answer = _ => throw new HttpRequestException("connection refused");
        client.Time.Advance(TimeSpan.FromSeconds(300));
        await Assert.ThrowsAsync<WixOAuthUnavailableException>(() => client.WithTimeAsync(client.GetAsync()));
    }

    [Fact]
    public async Task A_token_that_died_while_the_machine_slept_is_never_returned()
    {
        var clock = new SuspendedClock();
        await using var client = new TestClient(add: services => services.AddSingleton<TimeProvider>(clock));
        await client.GetAsync();
        clock.Suspend(TimeSpan.FromSeconds(300));
        Assert.Equal("token-2", await client.GetAsync());
    }

    [Fact]
    public async Task A_clock_that_is_set_back_does_not_keep_a_dead_token()
    {
        var clock = new SuspendedClock();
        await using var client = new TestClient(add: services => services.AddSingleton<TimeProvider>(clock));
        await client.GetAsync();
        clock.Advance(TimeSpan.FromSeconds(300));
        clock.SetBack(TimeSpan.FromSeconds(300));
        Assert.Equal("token-2", await client.GetAsync());
    }

    [Fact]
    public async Task A_service_that_does_not_answer_is_asked_once_and_given_up_after_15_seconds()
    {
        await using var client = new TestClient();
        client.Service.Gate = () => Task.Delay(Timeout.InfiniteTimeSpan, client.Time);
        var call = client.GetAsync();
        await client.AskedAsync(1);
        var thrown = await Assert.ThrowsAsync<WixOAuthUnavailableException>(() => client.WithTimeAsync(call));
        Assert.Null(thrown.Status);
        Assert.Single(client.Service.Requests);
    }

    [Fact]
    public async Task A_page_in_place_of_a_token_is_an_outage()
    {
        await using var client = new TestClient();
        client.Service.Answer = _ => StubService.Json(HttpStatusCode.OK, "text/html", "<html>");
        await Assert.ThrowsAsync<WixOAuthUnavailableException>(() => client.WithTimeAsync(client.GetAsync()));
    }

    [Fact]
    public async Task An_answer_that_cannot_be_read_is_an_outage_and_leaves_a_living_token_in_use()
    {
        await using var client = new TestClient();
        await client.GetAsync();
        client.Service.Answer = _ =>
        {
            var response = client.Service.NewToken();
            response.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json", "bogus");
            return response;
        };
        client.Time.Advance(TimeSpan.FromSeconds(200));
        Assert.Equal("token-1", await client.GetAsync());
        await client.AskedAsync(2);

        // Paused, as after any failure.
        for (var i = 0; i < 20; i++)
        {
            Assert.Equal("token-1", await client.GetAsync());
        }

        Assert.Equal(2, client.Service.Requests.Count);
        client.Time.Advance(TimeSpan.FromSeconds(101));
        await Assert.ThrowsAsync<WixOAuthUnavailableException>(() => client.WithTimeAsync(client.GetAsync()));
    }

    [Fact]
    public async Task A_rejected_token_is_reported_once_by_its_hash_however_many_callers_report_it()
    {
        await using var client = new TestClient();
        var token = await client.GetAsync();
        var gate = new TaskCompletionSource();
        client.Service.Gate = () => gate.Task;

        var callers = Enumerable.Range(0, 100).Select(_ => Task.Run(async () => (await client.Tokens.ReplaceTokenAsync(client.Instance, token)).Token)).ToList();
        await client.AskedAsync(2);
        var others = client.GetAsync();
        gate.SetResult();

        Assert.All(await Task.WhenAll([.. callers, others]), each => Assert.Equal("token-2", each));
        Assert.Equal(2, client.Service.Requests.Count);
        Assert.Equal(
            $"?rejected={Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(token)))}",
            client.Service.Requests[1].RequestUri!.Query);
        Assert.Equal("token-2", (await client.Tokens.ReplaceTokenAsync(client.Instance, token)).Token);
        Assert.Equal(2, client.Service.Requests.Count);
    }

    [Fact]
    public async Task A_rejection_during_a_refresh_that_brings_the_same_token_is_reported_after_it()
    {
        await using var client = new TestClient();
        client.Service.Answer = request => client.Service.Token(request.RequestUri!.Query.StartsWith("?rejected=", StringComparison.Ordinal) ? "new" : "old");
        var token = await client.GetAsync();
        var gate = new TaskCompletionSource();
        client.Service.Gate = () => gate.Task;
        client.Time.Advance(TimeSpan.FromSeconds(200));
        await client.GetAsync();
        await client.AskedAsync(2);

        var replacement = client.Tokens.ReplaceTokenAsync(client.Instance, token).AsTask();
        gate.SetResult();

        Assert.Equal("new", (await replacement).Token);
        Assert.Equal(3, client.Service.Requests.Count);
    }

    [Fact]
    public async Task Instances_that_are_not_used_any_more_leave_the_memory()
    {
        await using var client = new TestClient();
        await client.GetAsync();
        var cache = (WixTokenClient)client.Tokens;
        client.Time.Advance(TimeSpan.FromSeconds(400));
        await client.Tokens.GetTokenAsync(Guid.NewGuid());
        await TestClient.UntilAsync(() => cache.Count == 1);
    }

    [Fact]
    public async Task A_hit_allocates_nothing()
    {
        await using var client = new TestClient();
        await client.GetAsync();
        await client.GetAsync();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1_000; i++)
        {
            await client.Tokens.GetTokenAsync(client.Instance);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    /// <summary>A clock whose monotonic part stands still while the machine sleeps, and whose other part can be set back.</summary>
    private sealed class SuspendedClock : FakeTimeProvider
    {
        private TimeSpan _suspended;
        private TimeSpan _setBack;

        public override long GetTimestamp() => (base.GetUtcNow() - _suspended).Ticks;

        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() - _setBack;

        public void Suspend(TimeSpan span)
        {
            _suspended += span;
            Advance(span);
        }

        public void SetBack(TimeSpan span) => _setBack += span;
    }
}

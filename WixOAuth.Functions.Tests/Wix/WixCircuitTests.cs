using System.Net;
using Microsoft.Extensions.Time.Testing;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Wix;

public sealed class WixCircuitTests : IDisposable
{
    private static readonly AppSecret Secret = new("the-app-secret");
    private static readonly RefreshToken Refresh = new("the-refresh-token");
    private static readonly AuthorizationCode Code = new("the-code");

    private readonly Core _core = new();

    private WixCircuit Circuit => _core.Circuit;

    private FakeTimeProvider Clock => _core.Clock;

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task One_429_opens_the_circuit_and_nothing_is_retried_through_it()
    {
        AnswerWith(() => StubWix.Status(429, "0"));

        Assert.IsType<TokenAnswer.Unavailable>(await RefreshAsync());

        Assert.Single(_core.Wix.Calls);
        Assert.True(Circuit.IsOpen);
        Assert.Equal(WixCircuit.ProbeInterval, Circuit.RetryAfter);
        Assert.Single(_core.Logs.Of(701));
    }

    [Fact]
    public async Task Failures_in_a_row_open_the_circuit()
    {
        AnswerWith(() => StubWix.Status(503));

        await RefreshAsync();
        await RefreshAsync();
        Assert.False(Circuit.IsOpen);
        await RefreshAsync();

        Assert.True(Circuit.IsOpen);
        Assert.Equal(WixCircuit.FailuresToOpen, _core.Wix.Calls.Count);
    }

    [Theory]
    [InlineData("hang")]
    [InlineData("page")]
    [InlineData("no connection")]
    [InlineData("empty")]
    public async Task Anything_but_an_answer_of_Wix_counts_as_a_failure(string what)
    {
        _core.Wix.Answer = async (_, _, token) => what switch
        {
            "hang" => await HangAsync(token),
            "page" => StubWix.Json(HttpStatusCode.Forbidden, "<html>Blocked</html>"),
            "empty" => StubWix.Json(HttpStatusCode.OK, ""),
            _ => throw new HttpRequestException(HttpRequestError.ConnectionError, "refused"),
        };

        for (var i = 0; i < WixCircuit.FailuresToOpen && !Circuit.IsOpen; i++)
        {
            await RefreshAsync();
        }

        Assert.True(Circuit.IsOpen);
        Assert.Equal(WixCircuit.FailuresToOpen, _core.Wix.Calls.Count);
    }

    [Fact]
    public async Task A_response_between_failures_resets_the_count()
    {
        var calls = 0;
        AnswerWith(() => ++calls % 5 == 0 ? StubWix.Status(400) : StubWix.Status(500));

        for (var i = 0; i < 20; i++)
        {
            await RefreshAsync();
        }

        Assert.False(Circuit.IsOpen);
    }

    [Fact]
    public async Task Failures_far_apart_do_not_add_up()
    {
        AnswerWith(() => StubWix.Status(500));

        for (var i = 0; i < 20; i++)
        {
            await RefreshAsync();
            Clock.Advance(WixCircuit.FailureWindow);
        }

        Assert.False(Circuit.IsOpen);
    }

    [Fact]
    public async Task An_open_circuit_lets_one_call_through_each_ten_seconds()
    {
        AnswerWith(() => StubWix.Status(429));
        await RefreshAsync();

        for (var second = 0; second < 100; second++)
        {
            Clock.Advance(TimeSpan.FromSeconds(1));
            await RefreshAsync();
            Assert.Equal(new TokenAnswer.Unavailable(TokenError.WixUnavailable, Circuit.RetryAfter), await RefreshAsync());
        }

        Assert.Equal(1 + 10, _core.Wix.Calls.Count);
        Assert.Single(_core.Logs.Of(701));
    }

    [Fact]
    public async Task A_probe_that_Wix_answers_closes_the_circuit()
    {
        await OpenAsync();
        AnswerWith(() => StubWix.Tokens("a"));
        Clock.Advance(WixCircuit.ProbeInterval);

        Assert.IsType<TokenAnswer.Granted>(await RefreshAsync());

        Assert.False(Circuit.IsOpen);
        Assert.Equal(TimeSpan.Zero, Circuit.RetryAfter);
        Assert.Equal("The circuit to Wix closed after 10 s", Assert.Single(_core.Logs.Of(702)));
    }

    [Fact]
    public async Task A_rejected_probe_closes_the_circuit_because_Wix_is_there()
    {
        await OpenAsync();
        AnswerWith(() => StubWix.Status(403));
        Clock.Advance(WixCircuit.ProbeInterval);

        Assert.IsType<TokenAnswer.Rejected>(await RefreshAsync());

        Assert.False(Circuit.IsOpen);
    }

    [Fact]
    public async Task A_cancelled_probe_leaves_the_circuit_open()
    {
        await OpenAsync();
        using var cancelled = new CancellationTokenSource();
        _core.Wix.Answer = (_, _, token) =>
        {
            // CancelAsync would cancel on the thread pool, and time would pass meanwhile.
            cancelled.Cancel();
            return HangAsync(token);
        };
        Clock.Advance(WixCircuit.ProbeInterval);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => _core.RunAsync(() => _core.Client.RefreshAsync(Refresh, Secret, cancelled.Token)));

        Assert.True(Circuit.IsOpen);
        Assert.Equal(WixCircuit.ProbeInterval, Circuit.RetryAfter);
    }

    [Fact]
    public async Task A_call_that_began_before_the_circuit_opened_does_not_close_it()
    {
        var early = new TaskCompletionSource<HttpResponseMessage>();
        _core.Wix.Answer = (_, _, _) => _core.Wix.Calls.Count == 1 ? early.Task : Task.FromResult(StubWix.Status(429));
        var first = _core.Begin(() => _core.Client.RefreshAsync(Refresh, Secret, CancellationToken.None));
        await RefreshAsync();

        early.SetResult(StubWix.Tokens("a"));

        Assert.IsType<TokenAnswer.Granted>(await first);
        Assert.True(Circuit.IsOpen);
    }

    [Fact]
    public async Task The_caller_that_enters_an_open_circuit_is_the_probe()
    {
        await OpenAsync();
        Assert.False(Circuit.TryEnter(out var retryAfter));
        Assert.Equal(WixCircuit.ProbeInterval, retryAfter);

        Clock.Advance(WixCircuit.ProbeInterval);
        Assert.True(Circuit.TryEnter(out _));
        Assert.False(Circuit.TryEnter(out _));

        _core.Wix.Calls.Clear();
        await RefreshAsync();
        await RefreshAsync();
        Assert.Single(_core.Wix.Calls);
    }

    [Fact]
    public async Task A_reserved_probe_that_is_not_sent_is_free_again_after_ten_seconds()
    {
        await OpenAsync();
        Clock.Advance(WixCircuit.ProbeInterval);
        Assert.True(Circuit.TryEnter(out _));

        Clock.Advance(WixCircuit.ProbeInterval);

        Assert.True(Circuit.TryEnter(out _));
    }

    [Fact]
    public async Task A_circuit_that_is_not_probed_closes()
    {
        await OpenAsync();

        Clock.Advance(WixCircuit.LongestWithoutProbe);

        Assert.False(Circuit.IsOpen);
        Assert.True(Circuit.TryEnter(out _));
        Assert.Single(_core.Logs.Of(702));
    }

    [Fact]
    public async Task An_exchange_neither_waits_for_the_circuit_nor_moves_it()
    {
        AnswerWith(() => StubWix.Status(429));
        await ExchangeAsync();
        Assert.Equal(3, _core.Wix.Calls.Count);
        Assert.False(Circuit.IsOpen);

        await OpenAsync();
        AnswerWith(() => StubWix.Tokens("a", "r"));

        Assert.IsType<TokenAnswer.Granted>(await ExchangeAsync());
        Assert.True(Circuit.IsOpen);
    }

    [Fact]
    public async Task Confirmation_calls_pass_an_open_circuit_and_the_set_up_event_is_not_retried()
    {
        await OpenAsync();
        _core.Wix.Calls.Clear();
        AnswerWith(() => StubWix.Status(503));
        var token = new AccessToken("t");

        Assert.Null(await _core.RunAsync(() => _core.Client.GetTokenInfoAsync(token, CancellationToken.None)));
        Assert.Null(await _core.RunAsync(() => _core.Client.GetAppInstanceAsync(token, CancellationToken.None)));
        Assert.Equal(4, _core.Wix.Calls.Count);

        Assert.Equal(WixResponseKind.Unavailable, await _core.RunAsync(() => _core.Client.SendSetupCompletedAsync(token, CancellationToken.None)));
        Assert.Equal(5, _core.Wix.Calls.Count);
    }

    [Fact]
    public async Task Whether_it_is_open_is_a_metric()
    {
        using var measured = new Measured(_core);
        Assert.Equal(0, Throttled());
        await OpenAsync();
        Assert.Equal(1, Throttled());

        double Throttled() => measured.Observe("wixoauth.wix.throttled");
    }

    private static async Task<HttpResponseMessage> HangAsync(CancellationToken cancellationToken)
    {
        await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
        throw new InvalidOperationException("unreachable");
    }

    private void AnswerWith(Func<HttpResponseMessage> answer) => _core.Wix.Answer = (_, _, _) => Task.FromResult(answer());

    private async Task OpenAsync()
    {
        AnswerWith(() => StubWix.Status(429));
        await RefreshAsync();
        Assert.True(Circuit.IsOpen);
    }

    private Task<TokenAnswer> RefreshAsync() => _core.RunAsync(() => _core.Client.RefreshAsync(Refresh, Secret, CancellationToken.None));

    private Task<TokenAnswer> ExchangeAsync() => _core.RunAsync(() => _core.Client.ExchangeCodeAsync(Code, Secret, CancellationToken.None));
}

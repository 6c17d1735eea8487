using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Tokens;

/// <summary>Whether the result of a refresh that others started answers a caller who joined it.</summary>
public sealed class JoinedRefreshTests : IDisposable
{
    private static readonly InstanceId Id = Core.NewId();

    private readonly WatchedStore _store = new(new MemoryInstanceStore());
    private readonly Queue<TaskCompletionSource<HttpResponseMessage>> _asked = new();
    private readonly Core _core;

    public JoinedRefreshTests()
    {
        _core = new Core(_store, settings: ("Wix__ClientCredentialsFallback", "false"));
        _core.Wix.Answer = (_, _, _) =>
        {
            var gate = new TaskCompletionSource<HttpResponseMessage>();
            _asked.Enqueue(gate);
            return gate.Task;
        };
    }

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task An_operator_gets_a_token_that_was_issued_after_the_question()
    {
        await BeginStaleAsync();
        var caller = _core.GetAsync(Id);
        await SettleAsync();
        _core.Clock.Advance(TimeSpan.FromSeconds(1));
        var operators = _core.GetAsync(Id, TokenRequirements.New);
        await SettleAsync();

        await AnswerAsync(StubWix.Tokens("access-2", "refresh-1"));
        Assert.Equal("access-2", TokenOf(await caller));
        Assert.False(operators.IsCompleted);
        await AnswerAsync(StubWix.Tokens("access-3", "refresh-1"));

        Assert.Equal("access-3", TokenOf(await operators));
        Assert.Equal(2, _core.Wix.Calls.Count);
    }

    [Fact]
    public async Task Operators_who_ask_at_the_same_time_share_a_refresh()
    {
        await BeginStaleAsync();
        var first = _core.GetAsync(Id, TokenRequirements.New);
        await SettleAsync();
        var second = _core.GetAsync(Id, TokenRequirements.New);
        await SettleAsync();

        await AnswerAsync(StubWix.Tokens("access-2", "refresh-1"));

        Assert.Equal(("access-2", "access-2"), (TokenOf(await first), TokenOf(await second)));
        Assert.Single(_core.Wix.Calls);
    }

    [Fact]
    public async Task A_caller_whose_rejected_token_is_the_result_of_a_joined_refresh_asks_again()
    {
        await _core.InstallAsync(Id, "access-1");
        _core.Clock.Advance(TimeSpan.FromMinutes(1));
        var operators = _core.GetAsync(Id, TokenRequirements.New);
        await SettleAsync();
        var rejected = TokenRequirements.LivingFor(TimeSpan.Zero, new AccessToken("access-1").Fingerprint());
        var caller = _core.GetAsync(Id, rejected);
        await SettleAsync();

        _core.Clock.Advance(TimeSpan.FromSeconds(10));
        await AnswerAsync(StubWix.Tokens("access-1", "refresh-1"));
        Assert.Equal("access-1", TokenOf(await operators));
        Assert.False(caller.IsCompleted);
        await AnswerAsync(StubWix.Tokens("access-2", "refresh-1"));

        Assert.Equal("access-2", TokenOf(await caller));
        Assert.Equal(2, _core.Wix.Calls.Count);
    }

    [Fact]
    public async Task An_operator_asks_again_after_a_joined_refresh_failed_and_is_answered_by_the_failure_of_its_own()
    {
        await BeginStaleAsync();
        var caller = _core.GetAsync(Id);
        await SettleAsync();
        var operators = _core.GetAsync(Id, TokenRequirements.New);
        await SettleAsync();

        await AnswerAsync(StubWix.Status(400));
        Assert.IsType<TokenResult.WixUnavailable>(await caller);
        Assert.False(operators.IsCompleted);
        await AnswerAsync(StubWix.Status(400));

        Assert.IsType<TokenResult.WixUnavailable>(await operators);
        Assert.Equal(2, _core.Wix.Calls.Count(call => call.Path == "/oauth/access"));
    }

    [Fact]
    public async Task Callers_of_a_removed_instance_are_answered_by_one_look_at_its_row()
    {
        var stored = await BeginStaleAsync();
        await _core.Store.TryWriteAsync(stored, stored.Instance with { Status = InstanceStatus.Removed, RemovedAt = _core.Clock.GetUtcNow() }, CancellationToken.None);

        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _store.Before = (_, _) => gate.Task;

        var callers = Enumerable.Range(0, 5).Select(_ => _core.GetAsync(Id)).ToList();
        await SettleAsync();
        gate.SetResult();

        Assert.All(await Task.WhenAll(callers), result => Assert.IsType<TokenResult.Removed>(result));
        Assert.Equal(1, _store.CallsTo(nameof(_store.FindAsync)));
        Assert.Empty(_core.Wix.Calls);
    }

    [Fact]
    public async Task A_use_is_noted_for_a_caller_and_not_for_a_sweep()
    {
        var stored = await BeginStaleAsync();
        var sweep = _core.Begin(() => _core.Tokens.RefreshDueAsync(stored));
        await SettleAsync();
        await AnswerAsync(StubWix.Tokens("access-2", "refresh-1"));
        await sweep;
        await _core.Background.WhenIdleAsync(CancellationToken.None);
        Assert.Null(await _core.Store.FindLastUseAsync(Id, CancellationToken.None));

        await _core.GetAsync(Id);
        await _core.Background.WhenIdleAsync(CancellationToken.None);

        Assert.Equal(_core.Clock.GetUtcNow(), await _core.Store.FindLastUseAsync(Id, CancellationToken.None));
    }

    private static string TokenOf(TokenResult result) => Assert.IsType<TokenResult.Token>(result).AccessToken.Reveal();

    private static Task SettleAsync() => SingleThreadSynchronizationContext.SettleAsync(isBusy: () => false);

    private async Task<StoredInstance> BeginStaleAsync()
    {
        var stored = await _core.InstallAsync(Id);
        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        return stored;
    }

    private async Task AnswerAsync(HttpResponseMessage answer)
    {
        _asked.Dequeue().SetResult(answer);
        await SettleAsync();
    }
}

using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Tokens;

public sealed class TokenMemoryTests : IDisposable
{
    private static readonly InstanceId Id = Core.NewId();
    private readonly Core _core = new();

    private DateTimeOffset Now => _core.Clock.GetUtcNow();

    public void Dispose() => _core.Dispose();

    [Fact]
    public void A_token_is_believed_for_five_minutes_however_long_it_lives()
    {
        _core.Memory.Remember(New(lifetime: TimeSpan.FromHours(4)));

        _core.Clock.Advance(TokenMemory.CacheDuration - TimeSpan.FromTicks(1));
        Assert.NotNull(_core.Memory.Find(Id, Now));
        _core.Clock.Advance(TimeSpan.FromTicks(1));
        Assert.Null(_core.Memory.Find(Id, Now));
    }

    [Fact]
    public void A_token_is_not_handed_out_after_its_end()
    {
        _core.Memory.Remember(New(lifetime: TimeSpan.FromSeconds(10)));

        _core.Clock.Advance(TimeSpan.FromSeconds(10));

        Assert.Null(_core.Memory.Find(Id, Now));
    }

    [Fact]
    public void A_token_whose_times_make_no_sense_is_not_held()
    {
        var good = New();
        TokenResult.Token[] poisoned =
        [
            good with { ExpiresOn = good.IssuedAt },
            good with { ExpiresOn = good.IssuedAt.AddMinutes(-5) },
            good with { ExpiresOn = DateTimeOffset.MaxValue },
            good with { IssuedAt = DateTimeOffset.MinValue },
            good with { IssuedAt = Now.AddHours(1), ExpiresOn = Now.AddHours(2) },
            good with { ReadAt = Now.AddSeconds(1) },
            good with { ReadAt = Now - TokenMemory.CacheDuration },
        ];
        foreach (var token in poisoned)
        {
            _core.Memory.Remember(token with { Generation = long.MaxValue });
            Assert.Null(_core.Memory.Find(Id, Now));
        }

        _core.Memory.Remember(good);
        Assert.Same(good, _core.Memory.Find(Id, Now));
    }

    [Fact]
    public void A_token_is_not_handed_out_when_the_clock_went_back_before_it_was_read()
    {
        _core.Memory.Remember(New());

        Assert.Null(_core.Memory.Find(Id, Now.AddMinutes(-1)));
    }

    [Fact]
    public void A_token_that_has_ended_is_not_handed_out_again_when_a_clock_that_was_set_back_comes_to_where_it_was()
    {
        var clock = new JumpingClock(_core.Clock) { Offset = TimeSpan.FromMinutes(7) };
        using var memory = new TokenMemory(clock);
        var now = clock.GetUtcNow();
        memory.Remember(new TokenResult.Token(Id, new AccessToken("access"), now, now.AddMinutes(5), 1, now));

        clock.Offset = TimeSpan.Zero;
        _core.Clock.Advance(TimeSpan.FromMinutes(7));

        Assert.Equal(now, clock.GetUtcNow());
        Assert.Null(memory.Find(Id, now));
    }

    [Fact]
    public void The_newest_generation_stays_whatever_comes_in_late()
    {
        var newest = New(generation: 3);
        _core.Memory.Remember(newest);
        _core.Memory.Remember(New(generation: 2));
        Assert.Same(newest, _core.Memory.Find(Id, Now));

        var newer = New(generation: 4);
        _core.Memory.Remember(newer);
        Assert.Same(newer, _core.Memory.Find(Id, Now));
    }

    [Fact]
    public void A_token_that_the_storage_confirms_again_is_believed_for_another_five_minutes()
    {
        _core.Memory.Remember(New(lifetime: TimeSpan.FromHours(4)));
        _core.Clock.Advance(TimeSpan.FromMinutes(4));
        _core.Memory.Remember(New(lifetime: TimeSpan.FromHours(4)));
        _core.Clock.Advance(TimeSpan.FromMinutes(4));

        Assert.NotNull(_core.Memory.Find(Id, Now));
    }

    [Fact]
    public void A_removal_evicts_and_refuses_tokens_up_to_its_generation()
    {
        // A token that could not be saved has the generation that the removal took instead.
        var unsaved = New(generation: 3);
        _core.Memory.Remember(unsaved);
        _core.Memory.Forget(Id, 3);
        Assert.Null(_core.Memory.Find(Id, Now));
        _core.Memory.Remember(unsaved);
        Assert.Null(_core.Memory.Find(Id, Now));

        // Installed again.
        var next = New(generation: 4);
        _core.Memory.Remember(next);
        _core.Memory.Forget(Id, 3);
        Assert.Same(next, _core.Memory.Find(Id, Now));
    }

    [Fact]
    public void A_token_of_an_instance_that_is_not_known_any_more_is_forgotten()
    {
        _core.Memory.Remember(New());

        Assert.IsType<TokenResult.Unknown>(_core.InstanceTokens.Gone(Id, null));

        Assert.Null(_core.Memory.Find(Id, Now));
    }

    [Fact]
    public void The_longest_life_that_is_believed_is_a_day()
    {
        _core.Memory.Remember(New(lifetime: TimeSpan.FromDays(1)));
        Assert.NotNull(_core.Memory.Find(Id, Now));
        _core.Memory.Forget(Id);
        _core.Memory.Remember(New(lifetime: TimeSpan.FromDays(1) + TimeSpan.FromTicks(1)));
        Assert.Null(_core.Memory.Find(Id, Now));
    }

    [Fact]
    public void An_older_generation_is_cached_once_the_newer_one_has_expired()
    {
        _core.Memory.Remember(New(generation: 9, lifetime: TimeSpan.FromHours(4)));
        _core.Clock.Advance(TokenMemory.CacheDuration);

        var restored = New(generation: 2);
        _core.Memory.Remember(restored);

        Assert.Same(restored, _core.Memory.Find(Id, Now));
    }

    [Fact]
    public void At_capacity_some_tokens_are_evicted()
    {
        var ids = Enumerable.Range(0, TokenMemory.Capacity + 1_000).Select(_ => Core.NewId()).ToList();
        foreach (var id in ids)
        {
            _core.Memory.Remember(New(id: id));
        }

        var held = ids.Count(id => _core.Memory.Find(id, Now) is not null);

        Assert.InRange(held, TokenMemory.Capacity / 2, TokenMemory.Capacity);
    }

    [Fact]
    public void A_removal_at_capacity_refuses_tokens_up_to_its_generation()
    {
        var ids = Enumerable.Range(0, TokenMemory.Capacity).Select(_ => Core.NewId()).ToList();
        foreach (var id in ids)
        {
            _core.Memory.Remember(New(id: id));
        }

        _core.Memory.Forget(Id, 3);

        // There is room again when a request that read the token before comes to remember it.
        _core.Memory.Forget(ids[0]);
        _core.Memory.Remember(New(generation: 3));
        Assert.Null(_core.Memory.Find(Id, Now));
        _core.Memory.Remember(New(generation: 4));
        Assert.NotNull(_core.Memory.Find(Id, Now));
    }

    [Fact]
    public async Task Changes_of_another_process_are_seen_when_the_cached_token_expires()
    {
        await _core.InstallAsync(Id, lifetime: TimeSpan.FromHours(4));
        await _core.GetAsync(Id);
        var stored = (await _core.Store.FindAsync(Id, CancellationToken.None))!;
        await _core.Store.TryWriteAsync(
            stored, stored.Instance with { Status = InstanceStatus.Removed, AccessToken = null, DueAt = null, Generation = 2 }, CancellationToken.None);

        _core.Clock.Advance(TokenMemory.CacheDuration - TimeSpan.FromTicks(1));
        Assert.IsType<TokenResult.Token>(await _core.GetAsync(Id));
        _core.Clock.Advance(TimeSpan.FromTicks(1));
        Assert.IsType<TokenResult.Removed>(await _core.GetAsync(Id));
    }

    [Fact]
    public async Task A_poisoned_row_is_not_served_forever()
    {
        var stored = await _core.InstallAsync(Id);
        await _core.Store.TryWriteAsync(stored, stored.Instance with { AccessTokenIssuedAt = Now.AddYears(3), AccessTokenExpiresOn = Now.AddYears(4) }, CancellationToken.None);

        await _core.GetAsync(Id);

        Assert.Null(_core.Memory.Find(Id, Now));
    }

    private TokenResult.Token New(long generation = 1, TimeSpan? lifetime = null, InstanceId? id = null) =>
        new(id ?? Id, new AccessToken("access"), Now, Now + (lifetime ?? TimeSpan.FromMinutes(5)), generation, Now);

    /// <summary>Its pauses last as long as they say, whatever it shows.</summary>
    private sealed class JumpingClock(TimeProvider time) : TimeProvider
    {
        public TimeSpan Offset { get; set; }

        public override long TimestampFrequency => time.TimestampFrequency;

        public override DateTimeOffset GetUtcNow() => time.GetUtcNow() + Offset;

        public override long GetTimestamp() => time.GetTimestamp();
    }
}

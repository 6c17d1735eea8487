using WixOAuth.Events;
using WixOAuth.Functions.Tests.Storage;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Events;

public sealed class DeliveryPolicyTests
{
    private static readonly DateTimeOffset Now = Samples.Noon;
    private static readonly OutboxEvent New = new(Samples.NewId(), 1, InstanceEventType.Connected, "consent", Now);

    [Fact]
    public void A_new_event_is_sent() => Assert.True(DeliveryPolicy.IsDue(New, null, Now));

    [Fact]
    public void A_leased_event_waits_until_the_lease_ends()
    {
        var leased = New with { Lease = new Lease("other", Now.AddSeconds(10)) };

        Assert.False(DeliveryPolicy.IsDue(leased, null, Now));
        Assert.True(DeliveryPolicy.IsDue(leased, null, Now.AddSeconds(10)));
    }

    [Fact]
    public void A_lease_of_a_clock_that_was_ahead_is_ignored() =>
        Assert.True(DeliveryPolicy.IsDue(New with { Lease = new Lease("other", Now.AddHours(1)) }, null, Now));

    [Fact]
    public void A_failed_event_waits_for_its_retry()
    {
        var failed = DeliveryPolicy.AfterFailure(New, new SendResult(SendOutcome.Refused), 0.5, Now);

        Assert.Equal((1, Now.AddSeconds(5)), (failed.Attempts, failed.RetryAt));
        Assert.False(DeliveryPolicy.IsDue(failed, null, Now.AddSeconds(4)));
        Assert.True(DeliveryPolicy.IsDue(failed, null, Now.AddSeconds(5)));
    }

    [Fact]
    public void A_retry_of_before_the_receiver_recovered_is_due_at_once()
    {
        var failed = New with { Attempts = 9, LastAttemptAt = Now, RetryAt = Now.AddHours(1) };

        Assert.True(DeliveryPolicy.IsDue(failed, Now.AddSeconds(1), Now.AddSeconds(2)));
        Assert.False(DeliveryPolicy.IsDue(failed, Now.AddSeconds(-1), Now.AddSeconds(2)));
    }

    [Theory]
    [InlineData(1, 5)]
    [InlineData(2, 10)]
    [InlineData(5, 80)]
    [InlineData(40, 3600)]
    public void Pauses_double_up_to_an_hour(int attempt, int seconds)
    {
        var failed = DeliveryPolicy.AfterFailure(New with { Attempts = attempt - 1 }, new SendResult(SendOutcome.Unreachable), 0.5, Now);

        Assert.Equal(TimeSpan.FromSeconds(seconds), failed.RetryAt - Now);
    }

    [Theory]
    [InlineData(1, 5)]
    [InlineData(600, 600)]
    [InlineData(86_400, 3_600)]
    public void Retry_After_is_honoured_up_to_an_hour(int asked, int expected)
    {
        var failed = DeliveryPolicy.AfterFailure(New, new SendResult(SendOutcome.Refused, TimeSpan.FromSeconds(asked)), 0.5, Now);

        Assert.Equal(TimeSpan.FromSeconds(expected), failed.RetryAt - Now);
    }

    [Fact]
    public void An_event_is_parked_after_72_hours_and_ten_attempts_and_at_once_when_the_receiver_answers_410()
    {
        var late = Now + DeliveryPolicy.RetriedFor;
        var (tried, triedLess) = (New with { Attempts = 9 }, New with { Attempts = 8 });

        Assert.Null(DeliveryPolicy.AfterFailure(tried, new SendResult(SendOutcome.Refused), 0.5, late.AddTicks(-1)).ParkedAt);
        Assert.Equal(late, DeliveryPolicy.AfterFailure(tried, new SendResult(SendOutcome.Refused), 0.5, late).ParkedAt);
        Assert.Null(DeliveryPolicy.AfterFailure(triedLess, new SendResult(SendOutcome.Refused), 0.5, late).ParkedAt);
        Assert.True(DeliveryPolicy.IsDue(New with { Attempts = 40 }, null, late.AddDays(1)));
        Assert.Equal(Now, DeliveryPolicy.AfterFailure(New, new SendResult(SendOutcome.Gone), 0.5, Now).ParkedAt);
    }

    [Fact]
    public void One_event_that_always_fails_does_not_open_the_circuit()
    {
        var circuit = new ReceiverCircuit(TestClock.New());

        Assert.All(Enumerable.Range(0, 100), _ => Assert.False(circuit.Failed(New.InstanceId)));
        Assert.True(circuit.TryEnter());
    }

    [Fact]
    public void Attempts_under_way_when_the_circuit_opens_and_slow_failures_do_not_keep_the_next_sweep_from_trying()
    {
        var clock = TestClock.New();
        var circuit = new ReceiverCircuit(clock);
        Assert.Single(Enumerable.Range(0, 16), _ => circuit.Failed(Samples.NewId()));

        for (var sweep = 0; sweep < 5; sweep++)
        {
            clock.Advance(TimeSpan.FromSeconds(50));
            Assert.True(circuit.TryEnter());
            clock.Advance(EventSender.Timeout);
            circuit.Failed(Samples.NewId());
        }
    }

    [Fact]
    public void An_open_circuit_lets_one_attempt_through_in_each_pause_and_closes_on_success()
    {
        var clock = TestClock.New();
        var circuit = new ReceiverCircuit(clock);
        Assert.Equal([false, false, true], Enumerable.Range(0, 3).Select(_ => circuit.Failed(Samples.NewId())));

        Assert.False(circuit.TryEnter());
        clock.Advance(TimeSpan.FromSeconds(45));
        Assert.True(circuit.TryEnter());
        Assert.False(circuit.TryEnter());
        circuit.Failed(Samples.NewId());
        clock.Advance(TimeSpan.FromSeconds(44));
        Assert.False(circuit.TryEnter());
        clock.Advance(TimeSpan.FromSeconds(1));
        Assert.True(circuit.TryEnter());
        circuit.Succeeded();

        Assert.Equal(clock.GetUtcNow(), circuit.RecoveredAt);
        Assert.True(circuit.TryEnter());
        Assert.True(circuit.TryEnter());
    }
}

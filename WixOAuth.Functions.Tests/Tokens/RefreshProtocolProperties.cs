using CsCheck;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Tokens;

/// <summary>
/// Random schedules of callers, sweeps, operators, consents, removals, crashes, lost answers, failures of Wix and clocks
/// that jump; <see cref="RefreshWorld"/> says what has to hold. A failure shows its seed and the story of the run.
/// </summary>
/// <remarks>WIXOAUTH_TEST_ROUNDS multiplies the number of runs.</remarks>
[Collection(AzuriteFixture.Name)]
public sealed class RefreshProtocolProperties(AzuriteFixture azurite)
{
    private static readonly Gen<(bool Rotates, bool Fallback, uint[] Schedule)> Runs = Gen.Select(
        Gen.Frequency((3, Gen.Const(true)), (1, Gen.Const(false))),
        Gen.Frequency((1, Gen.Const(true)), (3, Gen.Const(false))),
        Gen.UInt.Array[40, 160]);

    [Fact]
    public Task Nothing_that_can_happen_breaks_the_protocol_in_memory() =>
        SampleAsync(runs: 40, () => Task.FromResult<IInstanceStore>(new MemoryInstanceStore()));

    [Fact]
    public Task Nothing_that_can_happen_breaks_the_protocol_in_tables() =>
        SampleAsync(runs: 10, async () => (await azurite.CreateAsync()).Store);

    private static async Task SampleAsync(int runs, Func<Task<IInstanceStore>> create)
    {
        var spends = 0;
        await Runs.SampleAsync(
            async run =>
            {
                using var world = new RefreshWorld(await create(), run.Rotates, run.Fallback);
                await world.RunAsync(run.Schedule);
                spends += world.Spends;
            },
            iter: runs * Rounds.Factor,
            threads: 1);
        Assert.True(spends > runs / 2, $"Only {spends} refresh tokens were used in {runs} runs.");
    }
}

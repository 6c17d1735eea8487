using CsCheck;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Tokens;

/// <summary>
/// Random schedules of callers, sweeps, operators, consents, removals, crashes, lost answers, failures of Wix and clocks
/// that jump; <see cref="RefreshWorld"/> says what has to hold. A failure shows its seed and the story of the run.
/// </summary>
[Collection(Quiet.Name)]
public sealed class RefreshProtocolProperties(AzuriteFixture azurite)
{
    private static readonly Gen<(bool Rotates, bool Fallback, uint[] Schedule)> Runs =
        Gen.Select(Gen.Frequency((3, Gen.Const(true)), (1, Gen.Const(false))), Gen.Frequency((1, Gen.Const(true)), (3, Gen.Const(false))), Gen.UInt.Array[40, 160]);

    [Fact]
    public async Task Nothing_that_can_happen_breaks_the_protocol_in_memory()
    {
        var spends = 0;
        await SampleAsync(iterations: 150, async run =>
        {
            using var world = new RefreshWorld(new MemoryInstanceStore(), run.Rotates, run.Fallback);
            await world.RunAsync(run.Schedule);
            spends += world.Spends;
        });
        Assert.True(spends > 100);
    }

    [Fact]
    public async Task Nothing_that_can_happen_breaks_the_protocol_in_tables()
    {
        var (store, _) = await azurite.CreateAsync();
        await SampleAsync(iterations: 12, async run =>
        {
            using var world = new RefreshWorld(store, run.Rotates, run.Fallback);
            await world.RunAsync(run.Schedule);
        });
    }

    private static async Task SampleAsync(int iterations, Func<(bool Rotates, bool Fallback, uint[] Schedule), Task> run)
    {
        await Quiet.WarmUpAsync();
        await Task.Run(() => Runs.SampleAsync(run, iter: iterations, threads: 1));
    }
}

namespace WixOAuth.Functions.Tests.Faults;

/// <summary>
/// Every call that each <see cref="FaultOperation"/> makes, with every <see cref="Fault"/>: what is answered, what is
/// stored, how often the call is made, and that all is well once the fault is over. The calls are those that an
/// undisturbed run makes, so that none can be left out; what comes of each is in docs/faults.md, word for word.
/// </summary>
[Collection(AzuriteFixture.Name)]
public sealed class FaultTests(AzuriteFixture azurite)
{
    public static TheoryData<string> Operations => [.. FaultOperation.All.Select(operation => operation.Name)];

    [Theory]
    [MemberData(nameof(Operations))]
    public async Task Whatever_goes_wrong_with_any_call_comes_out_as_documented(string name)
    {
        var operation = FaultOperation.All.Single(operation => operation.Name == name);
        var rows = new List<string>();
        foreach (var call in await CallsOfAsync(operation))
        {
            var outcomes = new List<(string Fault, string Outcome)>();
            foreach (var fault in Fault.All.Where(fault => !operation.OneOfEachKind || Fault.IsOfEachKind(fault)))
            {
                outcomes.Add((fault.Name, await BreakAsync(operation, call, fault, goesOn: false)));
                if (Fault.MayGoOn(fault) && !operation.OneOfEachKind)
                {
                    outcomes.Add(($"{fault.Name}, on and on", await BreakAsync(operation, call, fault, goesOn: true)));
                }
            }

            rows.AddRange(FaultTable.RowsOf(call, outcomes));
        }

        await FaultTable.AssertAsync(name, rows);
    }

    private async Task<IReadOnlyList<Call>> CallsOfAsync(FaultOperation operation)
    {
        // Once without counting: what the compiler takes is no time that passes.
        using (var rehearsal = await FaultScene.SetAsync(azurite, operation))
        {
            await rehearsal.PlayAsync(null, null, goesOn: false);
        }

        using var scene = await FaultScene.SetAsync(azurite, operation);
        var (answer, _) = await scene.PlayAsync(null, null, goesOn: false);
        Assert.Equal(operation.Success, answer);

        // Each shard is asked by the same call. How far the counting for the page gets is a matter of time.
        return [.. scene.Calls.Made.Where(call => call.Kind != FaultyTables.Everything && (call.Number == 1 || !FaultyTables.OfEachShard.Contains(call.Kind)))];
    }

    private async Task<string> BreakAsync(FaultOperation operation, Call call, Fault fault, bool goesOn)
    {
        using var scene = await FaultScene.SetAsync(azurite, operation);
        var (answer, state) = await scene.PlayAsync(call, fault, goesOn);
        var made = scene.Calls.Count(call.Kind);
        Assert.True(made >= call.Number, $"{call} was not made when it was to break.");
        await scene.RecoverAsync($"{operation.Name}: {call}: {fault}");

        // A failure that goes on for minutes is tried until it is given up, by pauses that are drawn.
        return $"{answer} | {state} | {(made > 10 ? "many" : made)}";
    }
}

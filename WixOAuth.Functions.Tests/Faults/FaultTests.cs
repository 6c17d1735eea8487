namespace WixOAuth.Functions.Tests.Faults;

/// <summary>
/// Injects every <see cref="Fault"/> into every call of each <see cref="FaultOperation"/>, and compares the answer, what is
/// stored and the number of calls with docs/faults.md, word for word. After each case the fault ends and the operation has
/// to succeed. The calls are those of a run without faults, so that none can be left out.
/// </summary>
[Collection(AzuriteFixture.Name)]
public sealed class FaultTests(AzuriteFixture azurite)
{
    public static TheoryData<string> Operations => [.. FaultOperation.All.Select(operation => operation.Name)];

    [Theory]
    [MemberData(nameof(Operations))]
    public async Task Every_fault_of_every_call_has_the_documented_result(string name)
    {
        var operation = FaultOperation.All.Single(operation => operation.Name == name);
        var rows = new List<string>();
        foreach (var call in await CallsOfAsync(operation))
        {
            var outcomes = new List<(string Fault, string Outcome)>();
            foreach (var fault in Fault.All.Where(fault => !operation.OneOfEachKind || Fault.IsOfEachKind(fault)))
            {
                outcomes.Add((fault.Name, await BreakAsync(operation, call, fault, persists: false)));
                if (Fault.MayPersist(fault) && !operation.OneOfEachKind)
                {
                    outcomes.Add(($"{fault.Name}, persistent", await BreakAsync(operation, call, fault, persists: true)));
                }
            }

            rows.AddRange(FaultTable.RowsOf(call, outcomes));
        }

        await FaultTable.AssertAsync(name, rows);
    }

    private async Task<IReadOnlyList<Call>> CallsOfAsync(FaultOperation operation)
    {
        // The first run does not count: the time of the JIT compiler would be taken for a wait.
        using (var rehearsal = await FaultScene.SetAsync(azurite, operation))
        {
            await rehearsal.PlayAsync(null, null, persists: false);
        }

        using var scene = await FaultScene.SetAsync(azurite, operation);
        var (answer, _) = await scene.PlayAsync(null, null, persists: false);
        Assert.Equal(operation.Success, answer);

        // Each shard is queried by the same call. How far the count of all instances gets depends on timing.
        return [.. scene.Calls.Made.Where(call => call.Kind != FaultyTables.Everything && (call.Number == 1 || !FaultyTables.OfEachShard.Contains(call.Kind)))];
    }

    private async Task<string> BreakAsync(FaultOperation operation, Call call, Fault fault, bool persists)
    {
        using var scene = await FaultScene.SetAsync(azurite, operation);
        var (answer, state) = await scene.PlayAsync(call, fault, persists);
        var made = scene.Calls.Count(call.Kind);
        Assert.True(made >= call.Number, $"{call} was not made when it should have failed.");
        await scene.RecoverAsync($"{operation.Name}: {call}: {fault}");

        // During a persistent fault calls are retried for minutes, with random pauses.
        return $"{answer} | {state} | {(made > 10 ? "many" : made)}";
    }
}

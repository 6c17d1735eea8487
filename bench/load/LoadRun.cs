using WixOAuth.Local;
using WixOAuth.PretendWix;
using WixOAuth.Processes;

namespace WixOAuth.Load;

/// <summary>What every part of a run has at hand.</summary>
/// <param name="Around">Azurite, the pretend Wix and the keys.</param>
/// <param name="Quick">Whether a look is enough.</param>
/// <param name="Sites">How many sites the large table has.</param>
/// <param name="CancellationToken">Ends the run.</param>
internal sealed record LoadRun(Surroundings Around, bool Quick, int Sites, CancellationToken CancellationToken)
{
    private int _seeded;

    public Task<ServiceProcess> StartServiceAsync(string table, string? connectionString = null, params (string Name, string Value)[] more)
    {
        var settings = Around.Settings(table, connectionString);
        foreach (var (name, value) in more)
        {
            settings[name] = value;
        }

        return ServiceProcess.StartAsync(settings, CancellationToken);
    }

    public void SetLatency(int milliseconds) => Around.Wix.Control.Switches = Around.Wix.Control.Switches with
    {
        LatencyMs = milliseconds == 0 ? new Dictionary<string, int>() : new Dictionary<string, int> { ["access"] = milliseconds },
    };

    /// <summary>Sites of the pretend Wix that no other part has.</summary>
    public IReadOnlyList<PretendSeed> NewSeeds(int count)
    {
        var seeds = Around.Wix.Seed(_seeded + count).Skip(_seeded).ToList();
        _seeded += count;
        return seeds;
    }

    /// <summary>Makes stale installations that no other part has.</summary>
    public async Task<IReadOnlyList<Guid>> AddStaleAsync(string table, int count, Azurite? azurite = null)
    {
        var seeds = NewSeeds(count);
        var seeder = SeederOf(table, azurite);
        await seeder.CreateTableAsync(CancellationToken);
        await seeder.AddStaleAsync(seeds, CancellationToken);
        return [.. seeds.Select(seed => seed.InstanceId)];
    }

    public Seeder SeederOf(string table, Azurite? azurite = null) => new(Around.Table(table, azurite), Around.Protector);

    public static void Say(string line) => Console.WriteLine($"  {line}");
}

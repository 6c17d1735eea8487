using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using WixOAuth.Instances;
using WixOAuth.Local;
using WixOAuth.Processes;

namespace WixOAuth.Load;

/// <summary>What ListInstances and the operators' page ask of the storage, in a small table and in a large one.</summary>
internal static partial class Lists
{
    private const int Due = 500;
    private const int Pages = 10;

    /// <summary>A few of the many have another status.</summary>
    private const int Forgotten = 20;

    public static async Task<IReadOnlyList<Measure>> MeasureAsync(LoadRun run)
    {
        List<Found> tables = [];
        foreach (var sites in new[] { 1_000, run.Sites })
        {
            var folder = Directory.CreateTempSubdirectory("wixoauth-bench-");
            try
            {
                var table = await Parts.FillAsync(run, folder.FullName, Due, sites);
                await using var azurite = await Azurite.StartAsync(folder.FullName, run.CancellationToken, savesMeanwhile: false);
                await using var proxy = await CountingProxy.StartAsync(azurite.ConnectionString, run.CancellationToken);
                await using var service = await run.StartServiceAsync(table, proxy.ConnectionString);
                await proxy.WhenQuietAsync(run.CancellationToken);
                using var look = new Look(service, proxy, run.CancellationToken);
                tables.Add(await look.TakeAsync(sites));
            }
            finally
            {
                folder.Delete(recursive: true);
            }
        }

        var (small, large) = (tables[0], tables[1]);
        var among = $"among 1,000 and among {Figures.Of(run.Sites, "N0")} sites";
        return
        [
            new($"ListInstances: storage transactions for {Pages} pages of 50, of all and of the removed, {among}", "no more among many",
                $"{small.OfAll}, {small.OfRemoved} and {large.OfAll}, {large.OfRemoved}", large.OfAll <= small.OfAll && large.OfRemoved <= small.OfRemoved,
                $"a page is one query for each shard it reaches into, and with a status another for its rows: the fewer sites, the more shards a page reaches into; {Forgotten} of the sites are removed"),
            new($"ListInstances, from page to page: sites seen, and seen twice, {among}", "each once",
                $"{small.Seen}, {small.Twice} and {large.Seen}, {large.Twice}", (small.Seen, small.Twice, large.Seen, large.Twice) == (1_000, 0, run.Sites, 0),
                $"200 to a page, the last of them answered after {Figures.Of(large.WalkMilliseconds, "F0")} ms in the large table; every tenth page one site is written meanwhile"),
            new($"the operators' page: storage transactions when it is opened, and when it refreshes itself, {among}", "a thousand sites each, when it is opened",
                $"{small.Opened}, {small.Again} and {large.Opened}, {large.Again}", large.Opened <= (run.Sites / 1_000) + (2 * 16) + 6 && large.Again <= 4,
                $"it counts all sites at most every half minute, and looks for events in each of the 16 shards; it came after {Figures.Of(small.OpenMilliseconds, "F0")} and {Figures.Of(large.OpenMilliseconds, "F0")} ms, most of it Azurite's, whose time for a query grows with the table"),
        ];
    }

    [GeneratedRegex("<b>([\\d,]+)</b>active<")]
    private static partial Regex Active();

    private sealed record Found(
        long OfAll, long OfRemoved, int Seen, int Twice, double WalkMilliseconds, long Opened, long Again, double OpenMilliseconds);

    private sealed class Look(ServiceProcess service, CountingProxy proxy, CancellationToken cancellationToken) : IDisposable
    {
        private readonly HttpClient _http = new() { BaseAddress = service.Url, Timeout = TimeSpan.FromMinutes(3) };

        public void Dispose() => _http.Dispose();

        public async Task<Found> TakeAsync(int sites)
        {
            _http.DefaultRequestHeaders.Add("x-functions-key", Surroundings.FunctionKey);
            var (all, twice, milliseconds) = await WalkAsync(sites);
            foreach (var id in all.Take(Forgotten))
            {
                (await _http.DeleteAsync(new Uri($"/api/instances/{id}", UriKind.Relative), cancellationToken)).EnsureSuccessStatusCode();
            }

            var ofAll = await CountAsync(() => ReadPagesAsync("limit=50", Pages));
            var ofRemoved = await CountAsync(() => ReadPagesAsync("status=removed&limit=50", Pages));
            var (page, took) = ("", 0.0);
            var opened = await CountAsync(async () =>
            {
                var startedAt = Stopwatch.GetTimestamp();
                page = await GetAsync("/api/status/view");
                took = Stopwatch.GetElapsedTime(startedAt).TotalMilliseconds;
            });
            var active = Active().Match(page).Groups[1].Value;
            if (active != Figures.Of(sites - Forgotten, "N0"))
            {
                throw new InvalidOperationException($"The operators' page counts {active} active sites.");
            }

            var again = await CountAsync(() => GetAsync("/api/status/view"));
            LoadRun.Say($"{sites:N0} sites: {all.Count} listed in {milliseconds:F0} ms, {ofAll} and {ofRemoved} transactions for {Pages} pages; operators' page {opened} transactions, {took:F0} ms, then {again}");
            return new Found(ofAll, ofRemoved, all.Count, twice, milliseconds, opened, again, took);
        }

        private async Task<(HashSet<string> Ids, int Twice, double Milliseconds)> WalkAsync(int sites)
        {
            var (ids, twice, number) = (new HashSet<string>(), 0, 0);
            var startedAt = Stopwatch.GetTimestamp();
            await foreach (var page in PagesAsync($"limit={IInstanceStore.MaxPage}"))
            {
                twice += page.Count(id => !ids.Add(id));
                if (++number % 10 == 0)
                {
                    // One that was listed already, so that its row is written again.
                    using var written = await _http.PostAsync(new Uri($"/api/instances/{page[0]}/refresh", UriKind.Relative), null, cancellationToken);
                }

                if (ids.Count > sites)
                {
                    throw new InvalidOperationException("More sites are listed than there are.");
                }
            }

            return (ids, twice, Stopwatch.GetElapsedTime(startedAt).TotalMilliseconds);
        }

        private async Task ReadPagesAsync(string query, int most)
        {
            await foreach (var _ in PagesAsync(query).Take(most).WithCancellation(cancellationToken))
            {
            }
        }

        private async IAsyncEnumerable<List<string>> PagesAsync(string query)
        {
            for (string? cursor = ""; cursor is not null;)
            {
                using var page = JsonDocument.Parse(await GetAsync($"/api/instances?{query}{(cursor.Length > 0 ? $"&cursor={cursor}" : "")}"));
                yield return [.. page.RootElement.GetProperty("instances").EnumerateArray().Select(instance => instance.GetProperty("instance_id").GetString()!)];
                cursor = page.RootElement.GetProperty("cursor").GetString();
            }
        }

        private Task<string> GetAsync(string path) => _http.GetStringAsync(new Uri(path, UriKind.Relative), cancellationToken);

        private async Task<long> CountAsync(Func<Task> work)
        {
            await proxy.WhenQuietAsync(cancellationToken);
            var before = proxy.Count;
            await work();
            return proxy.Count - before;
        }
    }
}

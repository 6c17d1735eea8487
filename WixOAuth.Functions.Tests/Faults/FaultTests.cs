using System.Text;
using Azure.Core.Pipeline;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Storage;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Faults;

/// <summary>
/// Every call that an install, a refresh, a webhook and a sweep make, with every <see cref="Fault"/>: what is answered,
/// what is stored, how often the call is made, and that all is well once the fault is over. The calls are those that an
/// undisturbed run makes, so that none can be left out; what comes of each is in docs/faults.md, word for word.
/// </summary>
[Collection(AzuriteFixture.Name)]
public sealed class FaultTests(AzuriteFixture azurite)
{
    private const string Document = "docs/faults.md";

    private const string Sweep = "A sweep with a refresh and a set-up event";

    private static readonly string[] s_successes = ["close-window", "token", "200", "refreshed"];

    [Theory]
    [InlineData("Install")]
    [InlineData("GetToken with a refresh")]
    [InlineData("GetToken where Wix takes the refresh token no more")]
    [InlineData("AppRemoved")]
    [InlineData("AppInstalled of an unknown instance")]
    [InlineData(Sweep)]
    public async Task Whatever_goes_wrong_with_any_call_comes_out_as_documented(string operation)
    {
        var calls = await CallsOfAsync(operation);
        var rows = new List<string>();
        foreach (var call in calls)
        {
            var outcomes = new List<(string Fault, string Outcome)>();
            foreach (var fault in Fault.All.Where(fault => operation != Sweep || Fault.IsOfEachKind(fault)))
            {
                outcomes.Add((fault.Name, await BreakAsync(operation, call, fault, goesOn: false)));
                if (Fault.MayGoOn(fault) && operation != Sweep)
                {
                    outcomes.Add(($"{fault.Name}, on and on", await BreakAsync(operation, call, fault, goesOn: true)));
                }
            }

            foreach (var same in outcomes.GroupBy(each => each.Outcome))
            {
                rows.Add($"| {call} | {string.Join("; ", same.Select(each => each.Fault))} | {same.Key} |");
            }
        }

        // What runs in the background calls before or after the rest, by chance: in which order is no matter.
        var (expected, actual) = (InOrder(Expected(operation)), InOrder(rows));
        if (actual != expected)
        {
            var found = Directory.CreateDirectory(Path.Combine(Repository.Root, "artifacts", "faults"));
            await File.WriteAllLinesAsync(Path.Combine(found.FullName, $"{operation}.md"), rows);
        }

        // What was found is in artifacts/faults, to be read and, where it is right, to be copied.
        Assert.Equal(expected, actual);
    }

    private static IEnumerable<string> Expected(string operation) =>
        Repository.Read(Document.Split('/')).ReplaceLineEndings("\n").Split('\n')
            .SkipWhile(line => line != $"## {operation}")
            .SkipWhile(line => !line.StartsWith('|'))
            .TakeWhile(line => line.StartsWith('|'))
            .Skip(2);

    private static string InOrder(IEnumerable<string> rows) => string.Join('\n', rows.Order(StringComparer.Ordinal));

    private async Task<IReadOnlyList<Call>> CallsOfAsync(string operation)
    {
        // Once without counting: what the compiler takes is no time that passes.
        using (var rehearsal = await Scene.SetAsync(azurite, operation))
        {
            await rehearsal.PlayAsync(null, null, goesOn: false);
        }

        using var scene = await Scene.SetAsync(azurite, operation);
        var (answer, _) = await scene.PlayAsync(null, null, goesOn: false);
        Assert.Contains(answer, s_successes);

        // The due index is read from each shard, by the same call. How far the counting for the page gets is a matter of time.
        return [.. scene.Calls.Made.Where(call => call.Kind != FaultyTables.Everything && (call.Number == 1 || call.Kind != FaultyTables.DueIndex))];
    }

    private async Task<string> BreakAsync(string operation, Call call, Fault fault, bool goesOn)
    {
        using var scene = await Scene.SetAsync(azurite, operation);
        var (answer, row) = await scene.PlayAsync(call, fault, goesOn);
        var made = scene.Calls.Count(call.Kind);
        Assert.True(made >= call.Number, $"{call} was not made when it was to break.");
        await scene.RecoverAsync($"{operation}: {call}: {fault}");

        // A failure that goes on for minutes is tried until it is given up, by pauses that are drawn.
        return $"{answer} | {row} | {(made > 10 ? "many" : made)}";
    }

    /// <summary>One site, its storage and its Wix, and one operation.</summary>
    private sealed class Scene : IDisposable
    {
        private static readonly WebhookSigner s_signer = new();
        private static readonly TimeSpan s_turnOnThePool = TimeSpan.FromMilliseconds(3);

        // A sweep whose first query fails sees to the sites of all shards but that one: by chance it would be ours.
        private readonly InstanceId _id = Ids().First(id => InstanceRows.ShardOf(id) != InstanceRows.Shards.First());
        private readonly string _operation;
        private readonly FaultyTables _wire;
        private readonly FaultyStore _store;
        private readonly TableStore _undisturbed;
        private readonly Core _core;
        private readonly FaultyWix _wix;

        private Scene(string operation, TableStore undisturbed, FaultyTables wire, IInstanceStore store)
        {
            (_operation, _undisturbed, _wire) = (operation, undisturbed, wire);
            _store = new FaultyStore(store);
            _core = new Core(_store, settings:
            [
                ("Wix__WebhookPublicKey", s_signer.Pem),
                ("Wix__ClientCredentialsFallback", operation.Contains("no more", StringComparison.Ordinal) || operation.StartsWith("AppI", StringComparison.Ordinal) ? "true" : "false"),
            ]);
            _wix = new FaultyWix(Calls, _id, _core.Settings.Wix.AppId, _core.Clock);
            _core.Wix.Answer = _wix.AnswerAsync;
        }

        public FaultyCalls Calls { get; } = new();

        public static async Task<Scene> SetAsync(AzuriteFixture azurite, string operation)
        {
            var options = azurite.NewTable();
            var undisturbed = new TableStore(TableConnection.Open(options, null));
            await undisturbed.InitializeAsync(CancellationToken.None);
            Scene? scene = null;
            var wire = new FaultyTables(() => scene!.Calls);
            var store = new TableStore(TableConnection.Open(options, null, new HttpClientTransport(wire), pause: TimeSpan.Zero));
            scene = new Scene(operation, undisturbed, wire, store);

            // As at the start of a process: the key check is over before the first request.
            Assert.True(await scene._core.Protector.CanSealAsync(CancellationToken.None));
            if (operation is not ("Install" or "AppInstalled of an unknown instance"))
            {
                var stored = await scene._core.InstallAsync(scene._id);
                if (operation == Sweep)
                {
                    await undisturbed.TryWriteAsync(stored, stored.Instance with { SetupPending = true }, CancellationToken.None);
                }

                scene._core.Clock.Advance(TimeSpan.FromMinutes(10));
            }

            scene._wix.TakesRefreshToken = !operation.Contains("no more", StringComparison.Ordinal);
            return scene;
        }

        /// <summary>Runs the operation; answers what it answered, and what is stored then.</summary>
        public async Task<(string Answer, string Row)> PlayAsync(Call? call, Fault? fault, bool goesOn)
        {
            Calls.Break(call, fault, goesOn);
            _wire.IsOn = true;
            var answer = await LetTimePassAsync(_core.Begin(() => RunAsync(_operation)));
            await LetTimePassAsync(_core.Begin(async () =>
            {
                await _core.Background.WhenIdleAsync(CancellationToken.None);
                return true;
            }));
            _wire.IsOn = false;
            return (answer, await ReadAsync());
        }

        /// <summary>The fault is over: the same again ends well, nothing was lost, and nothing was sent where it should not have been.</summary>
        public async Task RecoverAsync(string what)
        {
            Calls.Break(null, null, goesOn: false);
            var tries = 0;
            for (; tries < 4 && !await IsWellAsync(); tries++)
            {
                _core.Clock.Advance(TimeSpan.FromMinutes(3));
                await LetTimePassAsync(_core.Begin(() => RunAsync(_operation)));
            }

            Assert.True(await IsWellAsync(), $"{what}: not well again, {await ReadAsync()}");
            Assert.True(_wix.CodesUsedTwice == 0, $"{what}: a code was used twice");
            if (_operation != "AppRemoved")
            {
                Assert.IsType<TokenResult.Token>(await LetTimePassAsync(_core.GetAsync(_id)));
                Assert.Equal(_operation.StartsWith("AppI", StringComparison.Ordinal) ? null : "refresh-1", await RefreshTokenAsync());
            }
        }

        private static IEnumerable<InstanceId> Ids()
        {
            while (true)
            {
                yield return Core.NewId();
            }
        }

        public void Dispose()
        {
            _core.Dispose();
            _wire.Dispose();
        }

        private async Task<bool> IsWellAsync()
        {
            var instance = (await _undisturbed.FindAsync(_id, CancellationToken.None))?.Instance;
            return _operation switch
            {
                "AppRemoved" => instance is { Status: InstanceStatus.Removed, AccessToken: null, RefreshToken: null },
                "AppInstalled of an unknown instance" => instance is { Status: InstanceStatus.Active },
                _ => instance is { Status: InstanceStatus.Active, SetupPending: false, Lease: null, Failures: null },
            };
        }

        private async Task<string?> RefreshTokenAsync()
        {
            var instance = (await _undisturbed.FindAsync(_id, CancellationToken.None))!.Instance;
            return instance.RefreshToken is { } text
                ? (await _core.Protector.UnprotectRefreshTokenAsync(_id, instance.Generation, text, CancellationToken.None))?.Reveal()
                : null;
        }

        private async Task<string> ReadAsync()
        {
            var instance = (await _undisturbed.FindAsync(_id, CancellationToken.None))?.Instance;
            if (instance is null)
            {
                return "none";
            }

            var words = new List<string> { $"{instance.Status}".ToLowerInvariant(), $"generation {instance.Generation}" };
            words.AddRange(new[]
            {
                instance.CurrentGrant == Grant.ClientCredentials ? "client credentials" : null,
                instance.Failures is { } failures ? $"{failures.Count} failure: {failures.LastError}" : null,
                instance.Lease is not null ? "leased" : null,
                instance.SetupPending ? "set-up pending" : null,
            }.OfType<string>());
            return string.Join(", ", words);
        }

        private async Task<string> RunAsync(string operation)
        {
            switch (operation)
            {
                case "Install":
                    var consent = (InstallResult.Consent)await _core.Start.BeginAsync(new AppUrlRequest(null, null, []), CancellationToken.None);
                    var request = new RedirectRequest(
                        new AuthorizationCode($"code-{Guid.NewGuid():N}"),
                        QueryHelpers.ParseQuery(new Uri(consent.Url.Reveal()).Query)["state"].Single(),
                        _id.ToString(),
                        HasError: false,
                        [KeyValuePair.Create(consent.Set.Name, consent.Set.Value)]);
                    try
                    {
                        return await _core.Flow.CompleteAsync(request, CancellationToken.None) switch
                        {
                            InstallResult.CloseWindow => "close-window",
                            InstallResult.Stopped { Problem: var problem } => $"page: {problem}",
                            var other => other.GetType().Name,
                        };
                    }
                    catch (StorageUnavailableException)
                    {
                        return "page: StorageUnavailable";
                    }

                case "AppRemoved":
                    return await PostAsync("AppRemoved");
                case "AppInstalled of an unknown instance":
                    return await PostAsync("AppInstalled");
                case Sweep:
                    try
                    {
                        var swept = await _core.Sweep.RunAsync(CancellationToken.None);
                        return swept switch
                        {
                            { Refreshed: 1 } => "refreshed",
                            { Failed: 1 } => "failed",
                            { Skipped: 1 } => "skipped",
                            _ => "nothing seen to",
                        };
                    }
                    catch (StorageUnavailableException)
                    {
                        return "the sweep fails";
                    }

                default:
                    return await _core.Tokens.GetTokenAsync(_id, TokenRequirements.Default, CancellationToken.None) is var result && result is TokenResult.Token
                        ? "token"
                        : result.GetType().Name;
            }
        }

        private async Task<string> PostAsync(string eventType)
        {
            var jwt = s_signer.Sign(eventType, Guid.Parse(_id.ToString()), _core.Clock.GetUtcNow(), _core.Settings.Wix.AppId);
            var context = new DefaultHttpContext
            {
                Request = { Method = "POST", Body = new MemoryStream(Encoding.ASCII.GetBytes(jwt)) },
                Response = { Body = new MemoryStream() },
            };
            await (await _core.Webhooks.WixWebhook(context.Request, CancellationToken.None)).ExecuteAsync(context);
            return $"{context.Response.StatusCode}";
        }

        private async Task<T> LetTimePassAsync<T>(Task<T> work)
        {
            for (var step = 0; !work.IsCompleted && step < 20_000; step++)
            {
                await SingleThreadSynchronizationContext.SettleAsync(() => _store.IsBusy);
                if (_operation is Sweep or "Install")
                {
                    // It runs on the thread pool, where it is unknown whether it waits for the clock or for a thread.
                    await Task.WhenAny(work, Task.Delay(s_turnOnThePool, TimeProvider.System));
                }

                if (!work.IsCompleted)
                {
                    _core.Clock.Advance(TimeSpan.FromMilliseconds(step < 20 ? 50 : step < 150 ? 500 : 5_000));
                }
            }

            return await work.WaitAsync(TimeSpan.FromSeconds(20));
        }
    }
}

using System.Net;
using Azure.Data.Tables;
using Microsoft.Extensions.Logging.Abstractions;
using WixOAuth.Instances;
using WixOAuth.PretendWix;
using WixOAuth.Processes;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Storage;

namespace WixOAuth.Crash;

/// <summary>
/// Runs this build and an earlier one on one table, as during a deployment and after a downgrade: sites in every state that
/// this build writes are asked for of the earlier one, and the other way round.
/// </summary>
internal sealed class SideBySide : IAsyncDisposable
{
    private static readonly TimeSpan s_afterExpiry = TimeSpan.FromSeconds(5);

    private readonly Journal _journal = new();
    private readonly string _table = Surroundings.NewTableName();
    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromMinutes(2) };
    private readonly List<string> _problems = [];
    private Surroundings _around = null!;
    private FakeWix _wix = null!;
    private EventReceiver _receiver = null!;
    private ServiceProcess _new = null!;
    private ServiceProcess _bridge = null!;
    private ServiceProcess _old = null!;

    /// <summary>Runs it.</summary>
    /// <param name="earlier">The earlier build's <c>WixOAuth.Local.dll</c>.</param>
    /// <param name="say">Is told each result.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>What was not as it should be.</returns>
    public static async Task<IReadOnlyList<string>> RunAsync(string earlier, Action<string> say, CancellationToken cancellationToken)
    {
        await using var run = new SideBySide();
        await run.StartAsync(earlier, cancellationToken);
        await run.RunAsync(say, cancellationToken);
        return run._problems;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var process in new[] { _new, _bridge, _old }.OfType<ServiceProcess>())
        {
            await process.DisposeAsync();
        }

        await _receiver.DisposeAsync();
        await _wix.DisposeAsync();
        await _around.DisposeAsync();
        _http.Dispose();
    }

    private async Task StartAsync(string earlier, CancellationToken cancellationToken)
    {
        _around = await Surroundings.StartAsync(cancellationToken);
        _wix = await FakeWix.StartAsync(_journal, new Traps(), cancellationToken);
        (_wix.Lifetime, _wix.MaxLatency) = ((3, 4), 10);

        // No event is delivered: its row stays in the table while the earlier build works on it.
        _receiver = await EventReceiver.StartAsync(_journal, cancellationToken);
        _receiver.TroublePart = 1;
        var settings = _around.Settings(_table);
        settings["Wix__ApiUrl"] = _wix.ApiUrlOf(1).ToString();
        _old = await ServiceProcess.StartAsync(settings, cancellationToken, earlier);
        (settings["Events__Url"], settings["Events__Secret"]) = (_receiver.Url.ToString(), _receiver.Secret);
        _new = await ServiceProcess.StartAsync(settings, cancellationToken);
        settings["Wix__PreferredGrant"] = "ClientCredentials";
        _bridge = await ServiceProcess.StartAsync(settings, cancellationToken);
    }

    private async Task RunAsync(Action<string> say, CancellationToken cancellationToken)
    {
        var table = TableConnection.Open(_around.Table(_table), null);
        var (active, fallback, healed, bridged, unreadable) = (Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid());
        var (imported, marked, removed, ofOld, mintedByOld, removedByOld) = (Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid());
        _wix.Described = new HashSet<Guid> { imported };
        var seeder = new Seeder(_around.Table(_table), _around.Protector);
        await seeder.CreateTableAsync(cancellationToken);
        await seeder.AddStaleAsync(
            new[] { active, fallback, healed, bridged, marked, removed, ofOld, mintedByOld, removedByOld }.Select(Install), cancellationToken, TimeSpan.FromHours(12));
        var stranger = new TokenProtector(new KeyRing(new ConfiguredSource<ProtectionKeys>(new ProtectionKeys(new ProtectionKey(new string('f', 32), new byte[32]))), NullLogger<KeyRing>.Instance));
        await new Seeder(_around.Table(_table), stranger).AddStaleAsync([Install(unreadable)], cancellationToken, TimeSpan.FromHours(12));

        // What this build writes.
        _wix.Revoke(fallback);
        _wix.Revoke(healed);
        foreach (var site in new[] { active, fallback, healed, unreadable })
        {
            await ExpectAsync(say, "this build refreshes", _new, site, HttpStatusCode.OK);
        }

        await ExpectAsync(say, "this build refreshes by client credentials", _bridge, bridged, HttpStatusCode.OK);
        await SendAsync(_new, HttpMethod.Put, $"instances/{imported}", JsonContent.Create(new { refresh_token = Install(imported).RefreshToken }), cancellationToken);
        await SendAsync(_new, HttpMethod.Delete, $"instances/{removed}", null, cancellationToken);
        await MarkAsync(table, marked, cancellationToken);

        // Void, it would erase it: that is why this build exists.
        _wix.Restore(healed);

        // What the earlier one makes of it, from the row and after the tokens have ended.
        foreach (var pause in new[] { TimeSpan.Zero, s_afterExpiry })
        {
            await Task.Delay(pause, TimeProvider.System, cancellationToken);
            foreach (var (name, site) in new[] { ("active", active), ("on fallback", fallback), ("on fallback, healed", healed), ("bridged", bridged), ("unreadable", unreadable), ("imported", imported) })
            {
                await ExpectAsync(say, $"the earlier build is asked {(pause > TimeSpan.Zero ? "after expiry" : "at once")}: {name}", _old, site, HttpStatusCode.OK);
            }
        }

        await ExpectAsync(say, "the earlier build is asked: marked", _old, marked, HttpStatusCode.Conflict);
        await ExpectAsync(say, "the earlier build is asked: removed", _old, removed, HttpStatusCode.Gone);
        var rows = await CountOwnRowsAsync(table, cancellationToken);
        foreach (var function in new[] { "RefreshTokens", "Housekeeping" })
        {
            Check(say, $"the earlier build runs {function}", (await SendAsync(_old, HttpMethod.Post, $"/admin/functions/{function}", null, cancellationToken)).IsSuccessStatusCode);
        }

        Check(say, "the earlier build leaves the key check, the outbox and the sweep's state alone", rows > 2 && rows == await CountOwnRowsAsync(table, cancellationToken));

        // What the earlier build writes, and this one makes of it.
        _wix.Revoke(mintedByOld);
        await ExpectAsync(say, "the earlier build refreshes", _old, ofOld, HttpStatusCode.OK);
        await ExpectAsync(say, "the earlier build falls back", _old, mintedByOld, HttpStatusCode.OK);
        await SendAsync(_old, HttpMethod.Delete, $"instances/{removedByOld}", null, cancellationToken);
        await Task.Delay(s_afterExpiry, TimeProvider.System, cancellationToken);
        foreach (var (name, site) in new[] { ("active", active), ("on fallback", fallback), ("on fallback, healed", healed), ("bridged", bridged), ("unreadable", unreadable), ("imported", imported), ("refreshed by the earlier build", ofOld), ("without a refresh token since the earlier build", mintedByOld) })
        {
            await ExpectAsync(say, $"this build is asked again: {name}", _new, site, HttpStatusCode.OK);
        }

        await ExpectAsync(say, "this build is asked again: removed by the earlier build", _new, removedByOld, HttpStatusCode.Gone);
        foreach (var (name, site) in new[] { ("active", active), ("on fallback, healed", healed), ("bridged", bridged), ("imported", imported), ("refreshed by the earlier build", ofOld), ("marked", marked) })
        {
            Check(say, $"the refresh token is kept: {name}", await RefreshTokenOfAsync(table, site, cancellationToken) == _wix.GoodTokens()[site]);
        }
    }

    private PretendSeed Install(Guid site) => new(site, _wix.Install(new Site(site, Rotation.Same)));

    private void Check(Action<string> say, string what, bool isRight)
    {
        say($"{(isRight ? "ok  " : "FAIL")} {what}");
        if (!isRight)
        {
            _problems.Add(what);
        }
    }

    private async Task ExpectAsync(Action<string> say, string what, ServiceProcess process, Guid site, HttpStatusCode expected)
    {
        using var answer = await SendAsync(process, HttpMethod.Get, $"instances/{site}/token", null, CancellationToken.None);
        Check(say, answer.StatusCode == expected ? what : $"{what}: {(int)answer.StatusCode} instead of {(int)expected}", answer.StatusCode == expected);
    }

    private async Task<HttpResponseMessage> SendAsync(ServiceProcess process, HttpMethod method, string path, HttpContent? content, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, new Uri(process.Url, path.StartsWith('/') ? path : $"/api/{path}")) { Content = content };
        request.Headers.Add("x-functions-key", Surroundings.FunctionKey);
        return await _http.SendAsync(request, cancellationToken);
    }

    private static async Task MarkAsync(TableClient table, Guid site, CancellationToken cancellationToken)
    {
        var now = TimeProvider.System.GetUtcNow();
        var (id, store) = (new InstanceId(site), new TableInstanceStore(new TableGateway(table)));
        var stored = (await store.FindAsync(id, cancellationToken))!;
        await store.TryWriteAsync(stored, stored.Instance.Failed(TokenError.Rejected, null, now.AddHours(1), now).Marked(now), cancellationToken);
    }

    private async Task<string?> RefreshTokenOfAsync(TableClient table, Guid site, CancellationToken cancellationToken)
    {
        var instance = (await new TableInstanceStore(new TableGateway(table)).FindAsync(new InstanceId(site), cancellationToken))!.Instance;
        return instance.RefreshToken is { } text
            ? (await _around.Protector.UnprotectRefreshTokenAsync(instance.Id, instance.RefreshTokenGeneration ?? instance.Generation, text, cancellationToken))?.Reveal()
            : null;
    }

    /// <summary>Rows of kinds that the earlier build does not know: events, the key check, the sweep's state.</summary>
    private static async Task<int> CountOwnRowsAsync(TableClient table, CancellationToken cancellationToken)
    {
        var count = 0;
        await foreach (var row in table.QueryAsync<TableEntity>(select: ["RowKey"], cancellationToken: cancellationToken))
        {
            count += row.RowKey.StartsWith("o|", StringComparison.Ordinal) || row.RowKey.StartsWith("k|", StringComparison.Ordinal) || row.RowKey == InstanceRows.SweepStateKey ? 1 : 0;
        }

        return count;
    }
}

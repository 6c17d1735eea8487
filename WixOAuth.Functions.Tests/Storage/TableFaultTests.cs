using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using Azure.Core.Pipeline;
using Azure.Data.Tables;
using Microsoft.Extensions.Logging.Abstractions;
using WixOAuth.Functions.Tests.Events;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Settings;
using WixOAuth.Storage;
using static WixOAuth.Functions.Tests.Storage.Samples;

namespace WixOAuth.Functions.Tests.Storage;

/// <summary>What the table store makes of a network and a service that fail, and what it costs when they do not.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class TableFaultTests(AzuriteFixture azurite)
{
    private static readonly CancellationToken None = CancellationToken.None;

    /// <summary>Ways in which the answer to a request that was carried out is lost.</summary>
    public static TheoryData<string> Losses => ["500", "503", "reset", "timeout"];

    [Fact]
    public async Task Each_operation_costs_the_expected_number_of_transactions()
    {
        using var wire = new Wire();
        var (store, _) = await azurite.CreateAsync(wire);
        var stored = await wire.CostsAsync(1, () => store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None));
        await wire.CostsAsync(1, () => store.FindAsync(stored!.Instance.Id, None));
        await wire.CostsAsync(1, () => store.FindAsync(NewId(), None));

        stored = await wire.CostsAsync(1, () => store.TryWriteAsync(stored, stored!.Instance with { Lease = new Lease("me", Noon) }, None));
        Assert.EndsWith(")", wire.LastPath, StringComparison.Ordinal);
        stored = await wire.CostsAsync(1, () => store.TryWriteAsync(stored, stored!.Instance with { DueAt = Noon.AddMinutes(1) }, None));
        Assert.EndsWith("/$batch", wire.LastPath, StringComparison.Ordinal);
        stored = await wire.CostsAsync(1, () => store.TryWriteAsync(stored, stored!.Instance with { Status = InstanceStatus.Removed, DueAt = null }, None));
        Assert.Null(await wire.CostsAsync(1, () => store.TryWriteAsync(null, stored!.Instance, None)));

        var consumed = NewConsumedState();
        Assert.True(await wire.CostsAsync(1, () => store.TryAddConsumedStateAsync(consumed, None)));
        Assert.False(await wire.CostsAsync(1, () => store.TryAddConsumedStateAsync(consumed, None)));
        await wire.CostsAsync(1, () => store.FindConsumedStateAsync(consumed.Nonce, consumed.IssuedAt, None));
        await wire.CostsAsync(1, async () =>
        {
            await store.SaveConsumedStateAsync(consumed, None);
            return true;
        });
        await wire.CostsAsync(1, async () =>
        {
            await store.SaveLastUseAsync(consumed.InstanceId, Noon, None);
            return true;
        });
        await wire.CostsAsync(16, () => store.ReadDueAsync(Noon.AddDays(1), None).CountAsync().AsTask());
        Assert.Equal(1, await wire.CostsAsync(17, () => store.RemoveConsumedStatesAsync(Noon.AddDays(1), 100, None)));
        await wire.CostsAsync(1, () => store.ReadDueAsync(Noon.AddDays(1), None, new InstanceShard(3)).CountAsync().AsTask());
        await wire.CostsAsync(1, async () =>
        {
            await store.SaveTalliesAsync([new RefreshTally(Guid.NewGuid(), Noon, 1, 1), new RefreshTally(Guid.NewGuid(), Noon.AddMinutes(5), 1, 1)], None);
            return true;
        });
        Assert.Equal(2, (await wire.CostsAsync(1, () => store.ReadTalliesAsync(Noon, None))).Count);
    }

    [Fact]
    public async Task A_page_costs_far_less_than_a_request_per_instance()
    {
        using var wire = new Wire();
        var (store, table) = await azurite.CreateAsync(wire);

        // Beside one another in two shards, as the sites of a big table lie.
        var ids = Enumerable.Range(0, 10_000).Select(_ => NewId()).Where(id => InstanceRows.ShardOf(id) is "03" or "04").Take(500).ToList();
        foreach (var shard in ids.GroupBy(InstanceRows.ShardOf))
        {
            foreach (var some in shard.OrderBy(id => id.ToString(), StringComparer.Ordinal).Select((id, number) => (id, number)).Chunk(50))
            {
                await table.SubmitTransactionAsync(some.SelectMany(one =>
                {
                    var status = one.number % 25 == 0 ? InstanceStatus.ReinstallRequired : InstanceStatus.Active;
                    return new[] { InstanceRow.Of(NewInstance(one.id) with { Status = status }), new TableEntity(shard.Key, InstanceRows.StatusKey(status, one.id)) };
                }).Select(row => new TableTransactionAction(TableTransactionActionType.Add, row)));
            }
        }

        // Four shards up to the first that has any, and then one request for a page, or two by way of the index.
        var page = await wire.CostsAsync(4, () => store.ListAsync(null, null, 200, None));
        Assert.Equal(200, page.Instances.Count);
        Assert.Equal(100, (await wire.CostsAsync(1, () => store.ListAsync(null, page.Instances[10].Id, 100, None))).Instances.Count);
        page = await wire.CostsAsync(5, () => store.ListAsync(InstanceStatus.Active, null, 200, None));
        Assert.Equal(200, page.Instances.Count);
        Assert.Equal(100, (await wire.CostsAsync(2, () => store.ListAsync(InstanceStatus.Active, page.Instances[10].Id, 100, None))).Instances.Count);

        // One in 25 of each shard, all of them.
        page = await store.ListAsync(InstanceStatus.ReinstallRequired, null, 200, None);
        Assert.Equal(ids.GroupBy(InstanceRows.ShardOf).Sum(shard => (shard.Count() + 24) / 25), page.Instances.Count);
        Assert.Null(page.Last);
    }

    /// <summary>
    /// A page of a big list costs what a page of a small one does, and asks for no more rows than it shows, but for the one
    /// that tells whether there are more.
    /// </summary>
    [Fact]
    public async Task The_cost_of_a_page_does_not_depend_on_the_number_of_instances()
    {
        using var wire = new Wire();
        var (store, table) = await azurite.CreateAsync(wire);
        var costs = new List<(InstanceStatus? Status, int First, int Next, int Rows)>();
        foreach (var count in new[] { 250, 1_250 })
        {
            var ids = Enumerable.Range(0, count * 30).Select(_ => NewId()).Where(id => InstanceRows.ShardOf(id) == "00").Take(count).ToList();
            await Parallel.ForEachAsync(ids.Chunk(50), new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (some, _) =>
                await table.SubmitTransactionAsync(some.SelectMany(id => new[]
                {
                    InstanceRow.Of(NewInstance(id)),
                    new TableEntity("00", InstanceRows.StatusKey(InstanceStatus.Active, id)),
                }).Select(row => new TableTransactionAction(TableTransactionActionType.Add, row)), None));
            foreach (var status in new InstanceStatus?[] { null, InstanceStatus.Active })
            {
                var before = wire.Requests;
                wire.MostRows = 0;
                var page = await store.ListAsync(status, null, 100, None);
                var first = wire.Requests - before;
                page = await store.ListAsync(status, page.Last, 100, None);
                Assert.Equal(100, page.Instances.Count);
                Assert.NotNull(page.Last);
                costs.Add((status, first, wire.Requests - before - first, wire.MostRows));
            }
        }

        Assert.Equal(costs[..2], costs[2..]);
        Assert.All(costs, cost => Assert.InRange(cost.Rows, 1, 101));
    }

    [Theory]
    [MemberData(nameof(Losses))]
    public async Task A_write_whose_response_is_lost_is_found_by_its_commit_id(string loss)
    {
        using var wire = new Wire();
        var (store, _) = await azurite.CreateAsync(wire);
        var stored = await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None);

        wire.LoseNext(loss);
        Assert.Null(await store.TryWriteAsync(stored, stored!.Instance with { CommitId = "mine", DueAt = Noon.AddHours(1) }, None));

        var found = await store.FindAsync(stored.Instance.Id, None);
        Assert.Equal("mine", found!.Instance.CommitId);
        Assert.Equal([new DueInstance(stored.Instance.Id, Noon.AddHours(1))], await store.ReadDueAsync(DateTimeOffset.MaxValue, None).ToListAsync());
    }

    [Theory]
    [MemberData(nameof(Losses))]
    public async Task A_lease_whose_response_is_lost_is_found_by_its_owner(string loss)
    {
        using var wire = new Wire();
        var (store, _) = await azurite.CreateAsync(wire);
        var stored = await store.TryWriteAsync(null, NewInstance(), None);

        wire.LoseNext(loss);
        Assert.Null(await store.TryWriteAsync(stored, stored!.Instance with { Lease = new Lease("me", Noon) }, None));

        Assert.Equal("me", (await store.FindAsync(stored.Instance.Id, None))!.Instance.Lease!.Owner);
    }

    [Theory]
    [MemberData(nameof(Losses))]
    public async Task An_insert_whose_response_is_lost_is_found_by_its_attempt_id(string loss)
    {
        using var wire = new Wire();
        var (store, _) = await azurite.CreateAsync(wire);
        var (instance, consumed) = (NewInstance() with { CommitId = "mine" }, NewConsumedState());

        wire.LoseNext(loss);
        Assert.Null(await store.TryWriteAsync(null, instance, None));
        wire.LoseNext(loss);
        Assert.False(await store.TryAddConsumedStateAsync(consumed, None));

        Assert.Equal(instance, (await store.FindAsync(instance.Id, None))!.Instance);
        Assert.Equal(consumed, await store.FindConsumedStateAsync(consumed.Nonce, consumed.IssuedAt, None));
    }

    [Fact]
    public async Task Consumed_states_that_another_process_removes_are_skipped()
    {
        using var wire = new Wire();
        var (store, table) = await azurite.CreateAsync(wire);
        await store.TryAddConsumedStateAsync(NewConsumedState(), None);

        // The SDK tries again and finds them gone, as it would if another sweep had been faster.
        wire.LoseNextOf("$batch", "500");
        Assert.Equal(0, await store.RemoveConsumedStatesAsync(Noon.AddDays(1), 100, None));

        Assert.Empty(await table.QueryAsync<TableEntity>().ToListAsync());
    }

    [Theory]
    [MemberData(nameof(Losses))]
    public async Task A_service_that_keeps_failing_is_unavailable(string loss)
    {
        using var wire = new Wire();
        var (store, _) = await azurite.CreateAsync(wire);

        wire.LoseAll(loss);

        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.FindAsync(NewId(), None));
    }

    [Fact]
    public async Task A_response_from_something_else_than_the_service_is_unavailable()
    {
        using var wire = new Wire();
        var (store, _) = await azurite.CreateAsync(wire);

        wire.LoseAll("portal");

        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.FindAsync(NewId(), None));
        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.TryWriteAsync(null, NewInstance(), None));
        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.ReadDueAsync(Noon, None).CountAsync().AsTask());
        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.ReadSummariesAsync(None).CountAsync().AsTask());
        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.ReadTalliesAsync(Noon, None));
    }

    [Theory]
    [InlineData("500 InternalError")]
    [InlineData("503 ServerBusy")]
    public async Task A_transaction_is_retried_when_the_service_is_busy_with_a_part_of_it(string status)
    {
        using var wire = new OutboxRefusals(status, rows: "i|", most: 3);
        var (store, _) = await azurite.CreateAsync(wire);

        var stored = await store.TryWriteAsync(null, NewInstance(), None);

        Assert.Equal(3, wire.Refused);
        Assert.Equal(stored, await store.FindAsync(stored!.Instance.Id, None));
    }

    [Fact]
    public async Task A_service_that_stays_busy_with_a_part_of_a_transaction_is_unavailable()
    {
        using var wire = new OutboxRefusals("503 ServerBusy", rows: "i|");
        var (store, _) = await azurite.CreateAsync(wire);

        var raised = await Assert.ThrowsAsync<StorageUnavailableException>(() => store.TryWriteAsync(null, NewInstance(), None));

        Assert.Equal("The table service refused with 503 ServerBusy.", raised.Message);
        Assert.Equal(4, wire.Refused);
    }

    [Theory]
    [InlineData("403")]
    [InlineData("400")]
    public async Task A_refusal_is_unavailable_and_not_retried(string status)
    {
        using var wire = new Wire();
        var (store, _) = await azurite.CreateAsync(wire);
        wire.LoseAll(status);

        var raised = await wire.CostsAsync(1, () => Assert.ThrowsAsync<StorageUnavailableException>(() => store.TryWriteAsync(null, NewInstance(), None)));

        Assert.Contains(status, raised.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("404")]
    [InlineData("409")]
    [InlineData("412")]
    public async Task A_refusal_of_a_proxy_is_unavailable(string status)
    {
        using var wire = new Wire();
        var (store, _) = await azurite.CreateAsync(wire);
        wire.LoseAll(status);

        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.SaveLastUseAsync(NewId(), Noon, None));
        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.SaveConsumedStateAsync(NewConsumedState(), None));
        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.ReadDueAsync(Noon, None).CountAsync().AsTask());
        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.ReadSummariesAsync(None).CountAsync().AsTask());
        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.ReadTalliesAsync(Noon, None));
    }

    [Fact]
    public async Task Initializing_needs_no_right_to_create_a_table_that_exists()
    {
        using var wire = new Wire();
        var (store, _) = await azurite.CreateAsync(wire);
        wire.LoseNextOf("/Tables", "403");

        await store.InitializeAsync(None);

        Assert.DoesNotContain("/Tables", wire.LastPath, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Initializing_without_the_right_to_create_a_missing_table_fails()
    {
        using var wire = new Wire();
        var store = new TableStore(TableConnection.Open(azurite.NewTable(), null, new HttpClientTransport(wire)));
        wire.LoseAll("403");

        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.InitializeAsync(None));
    }

    [Fact]
    public async Task A_service_that_does_not_listen_is_unavailable()
    {
        var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        listener.Stop();
        var nowhere = new TablesOptions
        {
            ConnectionString = new ConnectionString($"DefaultEndpointsProtocol=http;AccountName=a;AccountKey=AAAA;TableEndpoint=http://127.0.0.1:{port}/a;"),
        };
        var store = new TableStore(TableConnection.Open(nowhere, null, pause: TimeSpan.Zero));

        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.FindAsync(NewId(), None));
    }

    [Fact]
    public async Task A_missing_table_is_unavailable_not_empty()
    {
        var store = new TableStore(TableConnection.Open(azurite.NewTable(), null));

        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.FindAsync(NewId(), None));
        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.TryWriteAsync(null, NewInstance(), None));
        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.TryAddConsumedStateAsync(NewConsumedState(), None));
        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.ReadDueAsync(Noon, None).CountAsync().AsTask());
        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.ReadSummariesAsync(None).CountAsync().AsTask());
        await Assert.ThrowsAsync<StorageUnavailableException>(() => store.ReadTalliesAsync(Noon, None));

        await store.InitializeAsync(None);
        Assert.Null(await store.FindAsync(NewId(), None));
    }

    [Fact]
    public async Task Requests_wait_while_the_table_of_a_new_deployment_is_created()
    {
        using var wire = new Wire();
        var store = new TableStore(TableConnection.Open(azurite.NewTable(), null, new HttpClientTransport(wire)));
        var allowed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        wire.Creating = allowed.Task;
        var creating = store.InitializeAsync(None);
        using var leaving = new CancellationTokenSource();

        var left = store.FindAsync(NewId(), leaving.Token);
        Task[] asked =
        [
            store.FindAsync(NewId(), None),
            store.TryWriteAsync(null, NewInstance(), None),
            store.TryAddConsumedStateAsync(NewConsumedState(), None),
            store.SaveConsumedStateAsync(NewConsumedState(), None),
            store.SaveLastUseAsync(NewId(), Noon, None),
            store.ReadDueAsync(Noon, None).CountAsync().AsTask(),
            store.ReadSummariesAsync(None).CountAsync().AsTask(),
            store.ListAsync(null, null, 1, None),
            store.ReadTalliesAsync(Noon, None),
            store.ReadSweepStateAsync(None),
            ((IKeyCheckStore)store).FindKeyCheckAsync(None),
            store.ReadAsync(WixOAuth.Events.OutboxPart.Waiting, None).CountAsync().AsTask(),
        ];

        Assert.Equal(1, wire.Requests);
        Assert.All([left, .. asked], task => Assert.False(task.IsCompleted));
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
        allowed.SetResult();
        await Task.WhenAll([creating, .. asked]);
    }

    [Fact]
    public async Task Requests_wait_for_the_table_from_the_start_of_the_program()
    {
        using var wire = new Wire();
        var store = new TableStore(TableConnection.Open(azurite.NewTable(), null, new HttpClientTransport(wire)));
        var allowed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        wire.Creating = allowed.Task;
        using var initializer = new StorageInitializer(store, TimeProvider.System, NullLogger<StorageInitializer>.Instance);

        await initializer.StartAsync(None);
        var finding = store.FindAsync(NewId(), None);

        Assert.Equal(1, wire.Requests);
        allowed.SetResult();
        Assert.Null(await finding);
        await initializer.ExecuteTask!;
    }

    [Fact]
    public async Task Requests_do_not_depend_on_an_attempt_to_create_the_table_that_failed()
    {
        using var wire = new Wire();
        var (store, _) = await azurite.CreateAsync(wire);
        var allowed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        wire.Creating = allowed.Task;
        var creating = store.InitializeAsync(None);
        var finding = store.FindAsync(NewId(), None);

        allowed.SetException(new InvalidOperationException("Nothing is sent."));

        await Assert.ThrowsAsync<StorageUnavailableException>(() => creating);
        Assert.Null(await finding);
    }

    [Fact]
    public async Task Cancelling_during_a_request_raises_OperationCanceledException()
    {
        using var gone = new CancellationTokenSource();
        using var wire = new Wire();
        var (store, _) = await azurite.CreateAsync(wire);
        wire.LoseAll("hang", gone.Cancel);

        var raised = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => store.TryWriteAsync(null, NewInstance(), gone.Token));

        Assert.True(gone.IsCancellationRequested);
        Assert.IsNotType<StorageUnavailableException>(raised);
    }

    [Fact]
    public async Task Exceptions_contain_no_secret()
    {
        using var wire = new Wire();
        var (store, _) = await azurite.CreateAsync(wire);
        wire.LoseAll("403");
        var secret = new ProtectedText("key", "a-token-that-must-not-be-seen"u8.ToArray());

        var raised = await Assert.ThrowsAsync<StorageUnavailableException>(() => store.TryWriteAsync(null, NewInstance() with { RefreshToken = secret }, None));

        Assert.DoesNotContain(Convert.ToBase64String(secret.Data.Span), raised.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("AccountKey", raised.ToString(), StringComparison.Ordinal);
    }

    /// <summary>The wire between the store and Azurite: counts requests, and loses answers after Azurite has done its part.</summary>
    private sealed class Wire : DelegatingHandler
    {
        private int _requests;
        private int _left;
        private string _loss = "";
        private string _path = "";
        private Action? _before;

        public Wire()
            : base(new SocketsHttpHandler())
        {
        }

        public string LastPath { get; private set; } = "";

        public int Requests => _requests;

        /// <summary>What the creation of a table waits for.</summary>
        public Task Creating { get; set; } = Task.CompletedTask;

        /// <summary>The most rows that one request was answered with.</summary>
        public int MostRows { get; set; }

        public void LoseNext(string loss) => (_left, _loss, _path) = (1, loss, "");

        public void LoseNextOf(string path, string loss) => (_left, _loss, _path) = (1, loss, path);

        public void LoseAll(string loss, Action? before = null) => (_left, _loss, _path, _before) = (int.MaxValue, loss, "", before);

        public async Task<T> CostsAsync<T>(int requests, Func<Task<T>> call)
        {
            var before = _requests;
            var result = await call();
            Assert.Equal(requests, _requests - before);
            return result;
        }

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref _requests);
            LastPath = request.RequestUri!.AbsolutePath;
            if (request.Method == HttpMethod.Post && LastPath.EndsWith("/Tables", StringComparison.Ordinal))
            {
                await Creating;
            }

            var answer = await base.SendAsync(request, cancellationToken);
            if (request.Method == HttpMethod.Get)
            {
                await answer.Content.LoadIntoBufferAsync(cancellationToken);
                MostRows = Math.Max(MostRows, Regex.Count(await answer.Content.ReadAsStringAsync(cancellationToken), "\"RowKey\":"));
            }

            if (_left == 0 || !LastPath.Contains(_path, StringComparison.Ordinal))
            {
                return answer;
            }

            _left--;
            _before?.Invoke();
            answer.Dispose();
            switch (_loss)
            {
                case "reset":
                    throw new HttpRequestException("The connection was reset.", new IOException("reset"));
                case "timeout":
                    throw new TaskCanceledException("The network was too slow.");
                case "hang":
                    await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
                    throw new InvalidOperationException("Nobody ended the wait.");
                case "portal":
                    return new HttpResponseMessage(HttpStatusCode.OK) { RequestMessage = request, Content = new StringContent("<html>Sign in to the Wi-Fi</html>") };
                case "404" or "409" or "412":
                    return new HttpResponseMessage(Enum.Parse<HttpStatusCode>(_loss)) { RequestMessage = request };
                default:
                    // The storage's own refusals have an id.
                    return new HttpResponseMessage(Enum.Parse<HttpStatusCode>(_loss)) { RequestMessage = request, Headers = { { "x-ms-request-id", "1" } } };
            }
        }
    }
}

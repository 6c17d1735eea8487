using System.Net;
using System.Net.Sockets;
using System.Text;
using Azure.Core.Pipeline;
using Azure.Data.Tables;
using WixOAuth.Cli.Restoring;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Settings;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Maintenance;

/// <summary>Restores and checks while the network, or a proxy in place of the storage, answers.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class RestoreFailureTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(3);

    private readonly InstanceId _lost = Core.NewId();
    private readonly InstanceId _withoutDueRow = Core.NewId();
    private readonly Proxy _proxy = new();
    private CopyWorld _world = null!;
    private BackupManifest _manifest = null!;
    private BackupContainer _container = null!;
    private TableClient _table = null!;

    public async Task InitializeAsync()
    {
        _world = await CopyWorld.CreateAsync(azurite);
        await _world.Core.InstallAsync(_lost);
        await _world.Core.InstallAsync(_withoutDueRow);
        _manifest = await _world.BackUpAsync();
        await _world.LoseAsync(_lost);
        await _world.Table.DeleteEntityAsync(InstanceRows.ShardOf(_withoutDueRow), await DueKeyAsync());

        var transport = new HttpClientTransport(_proxy);
        _container = BackupContainer.Open(_world.Options, credential: null, transport, pause: TimeSpan.Zero);
        _table = TableConnection.Open(
            new TablesOptions { ConnectionString = azurite.NewTable().ConnectionString, Name = _world.Table.Name }, credential: null, transport, pause: TimeSpan.Zero);
    }

    public Task DisposeAsync()
    {
        _world.Dispose();
        _proxy.Dispose();
        return Task.CompletedTask;
    }

    [Fact]
    public async Task A_restore_fails_with_StorageUnavailable_when_a_proxy_answers_a_query_with_a_page()
    {
        _proxy.Answer = request => IsQueryOfShard(request) ? Proxy.Page(HttpStatusCode.OK) : null;
        await AssertUnavailableAsync(RestoreAsync);
        await AssertRestoredAfterwardsAsync();
    }

    [Fact]
    public async Task A_restore_fails_with_StorageUnavailable_when_a_proxy_answers_a_transaction_with_a_page()
    {
        _proxy.Answer = request => IsTransaction(request) ? Proxy.Page(HttpStatusCode.OK) : null;
        await AssertUnavailableAsync(RestoreAsync);
        await AssertRestoredAfterwardsAsync();
    }

    [Theory]
    [InlineData(HttpStatusCode.Conflict)]
    [InlineData(HttpStatusCode.PreconditionFailed)]
    public async Task A_restore_fails_instead_of_retrying_forever_when_a_proxy_answers_as_if_another_process_had_written(HttpStatusCode status)
    {
        _proxy.Answer = request => IsTransaction(request) ? Proxy.Page(status) : null;
        await AssertUnavailableAsync(RestoreAsync);
        await AssertRestoredAfterwardsAsync();
    }

    [Fact]
    public async Task A_restore_does_not_leave_out_a_due_row_when_a_proxy_answers_404()
    {
        _proxy.Answer = request => IsReadOf(request, InstanceRows.InstanceKey(_withoutDueRow)) ? Proxy.Page(HttpStatusCode.NotFound) : null;
        await AssertUnavailableAsync(RestoreAsync);
        await AssertRestoredAfterwardsAsync();
    }

    [Fact]
    public async Task A_role_on_the_table_alone_is_enough_for_a_restore()
    {
        _proxy.Answer = request => request.Method == HttpMethod.Post && request.RequestUri!.AbsolutePath.EndsWith("/Tables", StringComparison.Ordinal)
            ? Proxy.Refusal()
            : null;

        await RestoreAsync(CancellationToken.None);

        Assert.NotNull(await _world.Store.FindAsync(_lost, CancellationToken.None));
    }

    [Fact]
    public async Task Without_any_role_on_the_table_a_restore_fails()
    {
        _proxy.Answer = _ => Proxy.Refusal();
        await AssertUnavailableAsync(RestoreAsync);
        await AssertRestoredAfterwardsAsync();
    }

    [Fact]
    public async Task A_backup_is_not_reported_as_missing_when_a_proxy_answers_404()
    {
        var name = Assert.Single(await _world.Container.ListAsync(CancellationToken.None));
        _proxy.Answer = _ => Proxy.Page(HttpStatusCode.NotFound);

        await AssertUnavailableAsync(cancellationToken => BackupReader.ReadManifestAsync(_container, name, cancellationToken));
        await AssertUnavailableAsync(CheckAsync);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_check_and_a_restore_fail_with_StorageUnavailable_when_the_network_fails_while_a_blob_is_read(bool isReset)
    {
        // The blob has been opened before: only its content fails.
        _proxy.Answer = request => request.Method != HttpMethod.Get || !request.RequestUri!.AbsolutePath.EndsWith(".jsonl.gz", StringComparison.Ordinal)
            ? null
            : isReset ? throw new HttpRequestException(HttpRequestError.Unknown, "reset", new IOException("reset", new SocketException((int)SocketError.ConnectionReset)))
            : Proxy.Page(HttpStatusCode.ServiceUnavailable);

        await AssertUnavailableAsync(CheckAsync);
        await AssertUnavailableAsync(RestoreAsync);
        await AssertRestoredAfterwardsAsync();
    }

    private static bool IsTransaction(HttpRequestMessage request) => request.RequestUri!.AbsolutePath.EndsWith("$batch", StringComparison.Ordinal);

    private static bool IsQueryOfShard(HttpRequestMessage request) =>
        request.Method == HttpMethod.Get && Uri.UnescapeDataString(request.RequestUri!.Query).Contains("PartitionKey eq", StringComparison.Ordinal);

    private static bool IsReadOf(HttpRequestMessage request, string rowKey) =>
        request.Method == HttpMethod.Get && Uri.UnescapeDataString(request.RequestUri!.AbsolutePath).Contains($"RowKey='{rowKey}'", StringComparison.Ordinal);

    private static async Task AssertUnavailableAsync(Func<CancellationToken, Task> run)
    {
        using var patience = new CancellationTokenSource(s_patience);
        await Assert.ThrowsAsync<StorageUnavailableException>(() => run(patience.Token));
    }

    private Task RestoreAsync(CancellationToken cancellationToken) =>
        new Restore(_container, _table).RunAsync(_manifest, acceptsNextKey: false, null, cancellationToken);

    private Task CheckAsync(CancellationToken cancellationToken) =>
        new BackupCheck(_container, Core.KeyRingOf(_world.Core.Settings.Tokens.ProtectionKey!)).RunAsync(_manifest, null, cancellationToken);

    private async Task AssertRestoredAfterwardsAsync()
    {
        _proxy.Answer = _ => null;
        await RestoreAsync(CancellationToken.None);
        await BackupTests.AssertIndexesAgreeAsync(_world.Table, 2);
        Assert.NotNull(await _world.Store.FindAsync(_lost, CancellationToken.None));
    }

    private async Task<string> DueKeyAsync() =>
        InstanceRows.DueKey((await _world.Core.ReadAsync(_withoutDueRow)).DueAt!.Value, _withoutDueRow);

    /// <summary>Answers some requests in place of Azurite.</summary>
    private sealed class Proxy() : DelegatingHandler(new SocketsHttpHandler())
    {
        public Func<HttpRequestMessage, HttpResponseMessage?> Answer { get; set; } = _ => null;

        public static HttpResponseMessage Page(HttpStatusCode status) =>
            new(status) { Content = new StringContent("<html>Sign in to the network</html>", Encoding.UTF8, "text/html") };

        /// <summary>What Azure Storage answers where a role is missing.</summary>
        public static HttpResponseMessage Refusal() => new(HttpStatusCode.Forbidden) { Headers = { { "x-ms-request-id", "1" } } };

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            if (Answer(request) is not { } answer)
            {
                return await base.SendAsync(request, cancellationToken);
            }

            answer.RequestMessage = request;
            return answer;
        }
    }
}

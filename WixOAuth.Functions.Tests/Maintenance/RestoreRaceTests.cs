using Azure.Core.Pipeline;
using Azure.Data.Tables;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Settings;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Maintenance;

/// <summary>Restores during which another process writes, at the worst moment.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class RestoreRaceTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private readonly InstanceId _id = Core.NewId();
    private readonly Wire _wire = new();
    private CopyWorld _world = null!;
    private TableClient _table = null!;

    public async Task InitializeAsync()
    {
        _world = await CopyWorld.CreateAsync(azurite);
        await _world.Core.InstallAsync(_id);
        _table = TableConnection.Open(
            new TablesOptions { ConnectionString = azurite.NewTable().ConnectionString, Name = _world.Table.Name }, credential: null, new HttpClientTransport(_wire), pause: TimeSpan.Zero);
    }

    public Task DisposeAsync()
    {
        _world.Dispose();
        _wire.Dispose();
        return Task.CompletedTask;
    }

    [Fact]
    public async Task An_index_row_that_a_consent_needs_again_is_not_removed()
    {
        await _world.ChangeAsync(_id, before => Instance.AppRemoved(before, _id, Now, false, Now));
        var manifest = await _world.BackUpAsync();
        await _world.Table.AddEntityAsync(new TableEntity(InstanceRows.ShardOf(_id), InstanceRows.StatusKey(InstanceStatus.Active, _id)));
        _wire.After(IsReadOfInstance, () => _world.ChangeAsync(_id, before => before! with { Status = InstanceStatus.Active, ConsentedAt = Now, RemovedAt = null }));

        await _world.RestoreAsync(manifest, _table);

        await AssertMetAndIndexesAgreeAsync();
    }

    [Fact]
    public async Task An_index_row_that_is_added_too_late_goes_again()
    {
        var manifest = await _world.BackUpAsync();
        var due = (await _world.Core.ReadAsync(_id)).DueAt!.Value;
        await _world.Table.DeleteEntityAsync(InstanceRows.ShardOf(_id), InstanceRows.DueKey(due, _id));
        _wire.After(IsReadOfInstance, () => _world.ChangeAsync(_id, before => before! with { DueAt = due.AddHours(1) }));

        await _world.RestoreAsync(manifest, _table);

        await AssertMetAndIndexesAgreeAsync();
    }

    [Fact]
    public async Task A_row_that_disappears_before_it_is_replaced_is_restored()
    {
        var manifest = await BackUpLaterConsentAsync();
        _wire.Before(IsTransaction, () => _world.LoseAsync(_id));

        var summary = await _world.RestoreAsync(manifest, _table);

        Assert.Equal(1, summary.Written);
        Assert.Equal(Now, (await _world.Core.ReadAsync(_id)).ConsentedAt);
        await AssertMetAndIndexesAgreeAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_missing_index_row_of_a_site_that_is_written_before_it_is_replaced_is_added(bool isMarked)
    {
        var status = isMarked ? InstanceStatus.ReinstallRequired : InstanceStatus.Active;
        var manifest = await BackUpLaterConsentAsync();
        await _world.ChangeAsync(_id, before => before! with { Status = status });
        await _world.Table.DeleteEntityAsync(InstanceRows.ShardOf(_id), InstanceRows.StatusKey(status, _id));
        _wire.Before(IsTransaction, () => _world.ChangeAsync(_id, before => before! with { ConsentedAt = Now.AddHours(1) }));

        var summary = await _world.RestoreAsync(manifest, _table);

        Assert.Equal((0, 1), (summary.Written, summary.Kept));
        await AssertMetAndIndexesAgreeAsync();
    }

    private DateTimeOffset Now => _world.Clock.GetUtcNow();

    /// <summary>A copy with a later consent than the one in the table.</summary>
    private async Task<BackupManifest> BackUpLaterConsentAsync()
    {
        var earlier = await _world.Core.ReadAsync(_id);
        _world.Clock.Advance(TimeSpan.FromHours(1));
        await _world.ChangeAsync(_id, before => before! with { ConsentedAt = Now });
        var manifest = await _world.BackUpAsync();
        await _world.LoseAsync(_id);
        await _world.ChangeAsync(_id, _ => earlier);
        return manifest;
    }

    private async Task AssertMetAndIndexesAgreeAsync()
    {
        Assert.True(_wire.HasMet);
        await BackupTests.AssertIndexesAgreeAsync(_world.Table, 1);
    }

    private static bool IsTransaction(HttpRequestMessage request) => request.RequestUri!.AbsolutePath.EndsWith("$batch", StringComparison.Ordinal);

    private bool IsReadOfInstance(HttpRequestMessage request) =>
        request.Method == HttpMethod.Get && Uri.UnescapeDataString(request.RequestUri!.AbsolutePath).Contains($"RowKey='{InstanceRows.InstanceKey(_id)}'", StringComparison.Ordinal);

    /// <summary>Lets another process write just before or after the first request of a kind.</summary>
    private sealed class Wire() : DelegatingHandler(new SocketsHttpHandler())
    {
        private Func<HttpRequestMessage, bool> _isMet = _ => false;
        private Func<Task> _before = () => Task.CompletedTask;
        private Func<Task> _after = () => Task.CompletedTask;

        public bool HasMet { get; private set; }

        public void Before(Func<HttpRequestMessage, bool> isMet, Func<Task> write) => (_isMet, _before) = (isMet, write);

        public void After(Func<HttpRequestMessage, bool> isMet, Func<Task> write) => (_isMet, _after) = (isMet, write);

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            if (HasMet || !_isMet(request))
            {
                return await base.SendAsync(request, cancellationToken);
            }

            HasMet = true;
            await _before();
            var response = await base.SendAsync(request, cancellationToken);
            await _after();
            return response;
        }
    }
}

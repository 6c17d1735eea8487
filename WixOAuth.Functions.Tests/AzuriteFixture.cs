using Azure.Core.Pipeline;
using Azure.Data.Tables;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Local;
using WixOAuth.Settings;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests;

/// <summary>One Azurite for the whole test run. Where it cannot start, its tests fail: a skipped store is an untested one.</summary>
[CollectionDefinition(AzuriteFixture.Name)]
public sealed class AzuriteShared : ICollectionFixture<AzuriteFixture>;

/// <summary>Hands out tables that no other test uses.</summary>
public sealed class AzuriteFixture : IAsyncLifetime
{
    public const string Name = "Azurite";

    private readonly TemporaryFolder _folder = new();
    private Azurite? _azurite;

    public async Task InitializeAsync() => _azurite = await Azurite.StartAsync(_folder.Path, CancellationToken.None, savesMeanwhile: false);

    public async Task DisposeAsync()
    {
        if (_azurite is not null)
        {
            await _azurite.DisposeAsync();
        }

        _folder.Dispose();
    }

    /// <summary>The settings of a table that does not exist yet.</summary>
    internal TablesOptions NewTable() => new() { ConnectionString = _azurite!.ConnectionString, Name = $"t{Guid.NewGuid():N}" };

    /// <summary>The settings of a backup container that does not exist yet.</summary>
    internal BackupOptions NewContainer() => new() { ConnectionString = _azurite!.ConnectionString, Container = $"c{Guid.NewGuid():N}" };

    /// <summary>A new table, and what is needed to look at it behind the store's back.</summary>
    internal async Task<(TableStore Store, TableClient Table)> CreateAsync(HttpMessageHandler? wire = null)
    {
        var options = NewTable();
        var table = TableConnection.Open(options, null);
        await table.CreateAsync();
        return (new TableStore(wire is null ? table : TableConnection.Open(options, null, new HttpClientTransport(wire), pause: TimeSpan.Zero)), table);
    }
}

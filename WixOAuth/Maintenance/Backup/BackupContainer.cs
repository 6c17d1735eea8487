using System.Text.Json;
using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Blobs.Specialized;
using WixOAuth.Instances;
using WixOAuth.Settings;
using WixOAuth.Storage;

namespace WixOAuth.Maintenance.Backup;

/// <summary>
/// The blob container of the copies.
/// </summary>
/// <remarks>
/// <code>
/// manifests/NAME.json      the copy NAME is whole
/// NAME/SHARD.jsonl.gz      its rows
/// forgotten/ID             empty. The instance was forgotten at the blob's last-modified time; a restore keeps it forgotten.
/// </code>
/// A name begins with the time (UTC), so that names sort by age.
/// </remarks>
internal sealed class BackupContainer : IForgottenInstances
{
    public const string Manifests = "manifests/";

    private const string ManifestSuffix = ".json";

    public const string Forgotten = "forgotten/";

    public const int BlockSize = 1024 * 1024;

    private readonly bool _creates;

    private BackupContainer(BlobContainerClient blobs, bool creates) => (Blobs, _creates) = (blobs, creates);

    /// <summary>The container itself; ask it by way of <see cref="AskAsync"/>.</summary>
    public BlobContainerClient Blobs { get; }

    /// <summary>The container that the settings name. <paramref name="pause"/> replaces the first wait between two attempts in tests.</summary>
    /// <exception cref="ArgumentException">The settings name no blob service, or one by its URL and there is no credential.</exception>
    public static BackupContainer Open(BackupOptions options, TokenCredential? credential, HttpPipelineTransport? transport = null, TimeSpan? pause = null)
    {
        var client = StorageClients.Configure(
            new BlobClientOptions(), maxRetries: 4, TimeSpan.FromSeconds(30), pause ?? TimeSpan.FromMilliseconds(800), TimeSpan.FromSeconds(10), transport);
        var service = StorageClients.Open(
            options, credential, text => new BlobServiceClient(text, client), (uri, identity) => new BlobServiceClient(uri, identity, client));

        // A laptop's container is made here; in Azure the identity may write blobs, not make containers.
        return new BackupContainer(service.GetBlobContainerClient(options.Container), creates: options.ConnectionString is not null);
    }

    /// <summary>Creates the container when a connection string is used, as on a laptop. In Azure the deployment creates it.</summary>
    /// <exception cref="StorageUnavailableException">The blob service fails.</exception>
    public Task InitializeAsync(CancellationToken cancellationToken) =>
        _creates ? AskAsync(() => Blobs.CreateIfNotExistsAsync(cancellationToken: cancellationToken), cancellationToken) : Task.CompletedTask;

    /// <summary>The names of the whole copies, oldest first. Other blobs beside the manifests are left out.</summary>
    /// <exception cref="StorageUnavailableException">The blob service fails.</exception>
    public Task<IReadOnlyList<string>> ListAsync(CancellationToken cancellationToken) => AskAsync<IReadOnlyList<string>>(
        async () => await Blobs
            .GetBlobsAsync(BlobTraits.None, BlobStates.None, Manifests, cancellationToken)
            .Where(blob => blob.Name.EndsWith(ManifestSuffix, StringComparison.Ordinal))
            .Select(blob => blob.Name[Manifests.Length..^ManifestSuffix.Length])
            .Where(name => BackupMonitor.TimeOf(name) != DateTimeOffset.MinValue)
            .ToListAsync(cancellationToken),
        cancellationToken);

    /// <summary>How many instances the newest whole copy has; null when there is none, or its manifest cannot be read.</summary>
    /// <exception cref="StorageUnavailableException">The blob service fails.</exception>
    internal async Task<long?> CountNewestAsync(CancellationToken cancellationToken)
    {
        if (await ListAsync(cancellationToken) is not [.., var newest])
        {
            return null;
        }

        var blob = Blobs.GetBlobClient($"{Manifests}{newest}{ManifestSuffix}");
        var content = (await AskAsync(() => blob.DownloadContentAsync(cancellationToken), cancellationToken)).Value.Content;
        try
        {
            return JsonSerializer.Deserialize(content.ToMemory().Span, BackupJson.Default.BackupManifest)?.Instances;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public async Task AddAsync(InstanceId id, CancellationToken cancellationToken)
    {
        await InitializeAsync(cancellationToken);
        await AskAsync(() => Blobs.GetBlobClient($"{Forgotten}{id}").UploadAsync(BinaryData.Empty, overwrite: true, cancellationToken), cancellationToken);
    }

    public Task RemoveAsync(InstanceId id, CancellationToken cancellationToken) =>
        AskAsync(() => Blobs.GetBlobClient($"{Forgotten}{id}").DeleteIfExistsAsync(cancellationToken: cancellationToken), cancellationToken);

    internal Task WriteManifestAsync(string name, BackupManifest manifest, CancellationToken cancellationToken) => AskAsync(
        () => Blobs.GetBlobClient($"{Manifests}{name}{ManifestSuffix}").UploadAsync(
            new BinaryData(JsonSerializer.SerializeToUtf8Bytes(manifest, BackupJson.Default.BackupManifest)), overwrite: true, cancellationToken),
        cancellationToken);

    internal Task<Stream> OpenWriteAsync(string name, CancellationToken cancellationToken) => AskAsync(
        () => Blobs.GetBlockBlobClient(name).OpenWriteAsync(overwrite: true, new BlockBlobOpenWriteOptions { BufferSize = BlockSize }, cancellationToken),
        cancellationToken);

    /// <summary>When the container was made or last configured.</summary>
    internal async Task<DateTimeOffset> ReadAgeAsync(CancellationToken cancellationToken) =>
        (await AskAsync(() => Blobs.GetPropertiesAsync(cancellationToken: cancellationToken), cancellationToken)).Value.LastModified;

    /// <exception cref="StorageUnavailableException">It failed.</exception>
    public static Task<T> AskAsync<T>(Func<Task<T>> ask, CancellationToken cancellationToken) => TableGateway.TranslateAsync("storage", ask, cancellationToken);
}

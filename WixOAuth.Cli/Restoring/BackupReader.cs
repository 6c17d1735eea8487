using System.IO.Compression;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text.Json;
using Azure;
using Azure.Data.Tables;
using Azure.Storage.Blobs.Models;
using WixOAuth.Instances;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Storage;

namespace WixOAuth.Cli.Restoring;

/// <summary>Reads a copy: its manifest, and the rows of one part, which have to be the rows that were written.</summary>
internal static class BackupReader
{
    // A row has at most 1 MB in a table; as JSON with base64 somewhat more.
    private const int LongestLine = 4 * 1024 * 1024;

    /// <summary>Reads the manifest of a copy; <paramref name="name"/> is the copy's name, or the name of the manifest's blob.</summary>
    /// <exception cref="BackupUnusableException">There is none, or it is not one of this version.</exception>
    /// <exception cref="StorageUnavailableException">The blob service fails.</exception>
    public static async Task<BackupManifest> ReadManifestAsync(BackupContainer container, string name, CancellationToken cancellationToken)
    {
        var blob = container.Blobs.GetBlobClient(name.StartsWith(BackupContainer.Manifests, StringComparison.Ordinal) ? name : $"{BackupContainer.Manifests}{name}.json");
        try
        {
            var content = (await BackupContainer.AskAsync(() => blob.DownloadContentAsync(cancellationToken), cancellationToken)).Value.Content;
            var manifest = JsonSerializer.Deserialize(content.ToMemory().Span, BackupJson.Default.BackupManifest);
            return manifest switch
            {
                { Format: BackupManifest.CurrentFormat } => manifest,
                { Format: var format } => throw new BackupUnusableException($"The copy '{name}' has the format {format}; this version reads {BackupManifest.CurrentFormat}. Use a newer version."),
                null => throw new BackupUnusableException($"The manifest of the copy '{name}' is empty."),
            };
        }
        catch (JsonException)
        {
            throw new BackupUnusableException($"The manifest of the copy '{name}' is not JSON of this format: it was cut off or changed. Use another copy.");
        }
        catch (StorageUnavailableException exception) when (exception.InnerException is RequestFailedException { Status: 404 })
        {
            throw new BackupUnusableException($"There is no finished copy '{name}' in the container '{container.Blobs.Name}'.", exception);
        }
    }

    /// <summary>The rows in their order. At the end the blob is compared with the manifest.</summary>
    /// <exception cref="BackupUnusableException">The blob is missing, cut off, changed or not in order.</exception>
    /// <exception cref="StorageUnavailableException">The blob service fails.</exception>
    public static async IAsyncEnumerable<TableEntity> ReadAsync(
        BackupContainer container, BackupPart part, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var sha256 = SHA256.Create();
        await using var blob = await OpenAsync(container, part, cancellationToken);
        await using var hashed = new CryptoStream(blob, sha256, CryptoStreamMode.Read);
        await using var zipped = new GZipStream(hashed, CompressionMode.Decompress, leaveOpen: true);
        var (lines, rows, instances, last) = (new LineReader(zipped), 0L, 0L, "");
        while (await NextAsync(lines, part, cancellationToken) is { } row)
        {
            rows++;
            instances += InstanceRows.IsInstance(row.RowKey) ? 1 : 0;
            if (string.CompareOrdinal(row.RowKey, last) <= 0)
            {
                throw new BackupUnusableException($"The blob '{part.Name}' is damaged: row {rows} is not in order.");
            }

            last = row.RowKey;
            yield return row;
        }

        await DrainAsync(hashed, part, cancellationToken);
        if (rows != part.Rows || instances != part.Instances)
        {
            throw new BackupUnusableException($"The blob '{part.Name}' has {rows} rows and {instances} sites; the manifest says {part.Rows} and {part.Instances}.");
        }

        if (Convert.ToHexStringLower(sha256.Hash!) != part.Sha256)
        {
            throw new BackupUnusableException($"The blob '{part.Name}' was changed: its SHA-256 is not the one in the manifest.");
        }
    }

    private static async Task<Stream> OpenAsync(BackupContainer container, BackupPart part, CancellationToken cancellationToken)
    {
        try
        {
            return await BackupContainer.AskAsync(
                () => container.Blobs.GetBlobClient(part.Name).OpenReadAsync(
                    new BlobOpenReadOptions(allowModifications: false) { BufferSize = BackupContainer.BlockSize }, cancellationToken),
                cancellationToken);
        }
        catch (StorageUnavailableException exception) when (exception.InnerException is RequestFailedException { Status: 404 })
        {
            throw new BackupUnusableException($"The blob '{part.Name}' of this copy is missing.", exception);
        }
    }

    private static async Task<TableEntity?> NextAsync(LineReader lines, BackupPart part, CancellationToken cancellationToken)
    {
        try
        {
            return await lines.ReadAsync(cancellationToken) is { } line ? RowJson.Read(line) : null;
        }
        catch (InvalidDataException exception)
        {
            // From gzip, or from a line.
            throw new BackupUnusableException($"The blob '{part.Name}' is cut off or damaged.", exception);
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            throw TableGateway.Unavailable(exception);
        }
    }

    // The hash is complete only when everything was read, also what may follow the end of the gzip.
    private static async Task DrainAsync(CryptoStream hashed, BackupPart part, CancellationToken cancellationToken)
    {
        try
        {
            await hashed.CopyToAsync(Stream.Null, cancellationToken);
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            throw TableGateway.Unavailable(exception);
        }

        if (!hashed.HasFlushedFinalBlock)
        {
            throw new BackupUnusableException($"The blob '{part.Name}' is cut off.");
        }
    }

    private sealed class LineReader(Stream stream)
    {
        private byte[] _buffer = new byte[64 * 1024];
        private int _start;
        private int _end;

        public async ValueTask<ReadOnlyMemory<byte>?> ReadAsync(CancellationToken cancellationToken)
        {
            for (var searched = 0; ;)
            {
                var newLine = _buffer.AsSpan(_start + searched, _end - _start - searched).IndexOf((byte)'\n');
                if (newLine >= 0)
                {
                    var line = _buffer.AsMemory(_start, searched + newLine);
                    _start += searched + newLine + 1;
                    return line;
                }

                searched = _end - _start;
                MakeRoom();
                var read = await stream.ReadAsync(_buffer.AsMemory(_end), cancellationToken);
                if (read == 0)
                {
                    return searched == 0 ? null : throw new InvalidDataException("The last line has no end.");
                }

                _end += read;
            }
        }

        private void MakeRoom()
        {
            var length = _end - _start;
            if (length >= LongestLine)
            {
                throw new InvalidDataException("A line is too long.");
            }

            var target = length > _buffer.Length / 2 ? new byte[_buffer.Length * 2] : _buffer;
            Buffer.BlockCopy(_buffer, _start, target, 0, length);
            (_buffer, _start, _end) = (target, 0, length);
        }
    }
}

/// <summary>A copy that cannot be used: unfinished, cut off, changed, or of a later version. Holds no secret.</summary>
internal sealed class BackupUnusableException(string message, Exception? innerException = null) : Exception(message, innerException);

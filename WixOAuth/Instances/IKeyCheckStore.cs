namespace WixOAuth.Instances;

/// <summary>The key-check row as it was read. The check is null where an operator emptied the row to accept the next key.</summary>
internal sealed record StoredKeyCheck(ProtectedText? Check, string ETag);

/// <summary>
/// Stores the one key-check row beside the instances. Raises <see cref="StorageUnavailableException"/> as
/// <see cref="IInstanceStore"/> does.
/// </summary>
internal interface IKeyCheckStore
{
    /// <exception cref="InvalidDataException">This version cannot read the row.</exception>
    Task<StoredKeyCheck?> FindKeyCheckAsync(CancellationToken cancellationToken);

    /// <summary>Writes the row; <paramref name="previous"/> is what was read, null where there was none.</summary>
    /// <returns>False when another process has written it since; also when only the answer to our own write was lost.</returns>
    Task<bool> TryWriteKeyCheckAsync(StoredKeyCheck? previous, ProtectedText check, CancellationToken cancellationToken);
}

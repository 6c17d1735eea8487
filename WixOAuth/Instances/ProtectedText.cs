namespace WixOAuth.Instances;

/// <summary>An encrypted text (nonce, ciphertext and tag), and the id of the protection key that opens it.</summary>
internal sealed record ProtectedText(string KeyId, ReadOnlyMemory<byte> Data)
{
    /// <summary>Compares the bytes, not the buffers.</summary>
    public bool Equals(ProtectedText? other) =>
        other is not null && KeyId == other.KeyId && Data.Span.SequenceEqual(other.Data.Span);

    public override int GetHashCode()
    {
        var hash = default(HashCode);
        hash.Add(KeyId);
        hash.AddBytes(Data.Span);
        return hash.ToHashCode();
    }
}

using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using WixOAuth.Instances;
using WixOAuth.Protection;

namespace WixOAuth.Install;

/// <summary>
/// The links of <c>CreateInstallLink</c>. Making and reading one needs no storage; redeeming one writes a row, so that it
/// works once.
/// </summary>
internal sealed class InstallLinkService(StateProtector protector, IConsumedStateStore store, TimeProvider time)
{
    public static readonly TimeSpan LinkLifetime = TimeSpan.FromMinutes(30);

    private const int NonceLength = 16;
    private const int HeaderLength = NonceLength + sizeof(long);

    // Versions that know no display name must not read it as a part of the customer, so they cannot open such a link.
    private static readonly byte[] WithDisplayName = "display-name"u8.ToArray();

    internal async Task<(string Start, DateTimeOffset ExpiresOn)> IssueAsync(string customer, string? displayName, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var header = new byte[HeaderLength];
        RandomNumberGenerator.Fill(header.AsSpan(0, NonceLength));
        BinaryPrimitives.WriteInt64BigEndian(header.AsSpan(NonceLength), now.UtcTicks);
        var name = Encoding.UTF8.GetBytes(customer);
        var start = displayName is null
            ? await protector.ProtectAsync(StatePurpose.InstallLink, (byte[])[.. header, .. name], default, cancellationToken)
            : await protector.ProtectAsync(
                StatePurpose.InstallLink,
                (byte[])[.. header, (byte)(name.Length >> 8), (byte)name.Length, .. name, .. Encoding.UTF8.GetBytes(displayName)],
                WithDisplayName,
                cancellationToken);
        return (start, now + LinkLifetime);
    }

    /// <summary>Reads a link; null when it is not ours or has expired. It does not check whether the link was used.</summary>
    internal async Task<InstallLink?> ReadAsync(string start, CancellationToken cancellationToken)
    {
        var link = await protector.UnprotectAsync(StatePurpose.InstallLink, start, default, cancellationToken) is { Length: > HeaderLength } plain
            ? new InstallLink(plain[..NonceLength], ReadTime(plain), Encoding.UTF8.GetString(plain.AsSpan(HeaderLength)), DisplayName: null)
            : await protector.UnprotectAsync(StatePurpose.InstallLink, start, WithDisplayName, cancellationToken) is { Length: > HeaderLength + 2 } named
                ? ReadNamed(named)
                : null;
        return link is not null && InstallStateService.IsAlive(time.GetUtcNow() - link.IssuedAt, LinkLifetime) ? link : null;
    }

    /// <summary>Redeems a link; false when it was redeemed before, by anyone.</summary>
    /// <exception cref="StorageUnavailableException">The storage fails; the link may have been redeemed.</exception>
    internal async Task<bool> TryRedeemAsync(InstallLink link, CancellationToken cancellationToken)
    {
        var nonce = Convert.ToHexStringLower(link.Nonce);

        // The same kind of row as a state's, which every version can read; a link has no code and names no instance.
        var row = new ConsumedState
        {
            Nonce = nonce,
            IssuedAt = link.IssuedAt,
            AttemptId = Guid.NewGuid().ToString("N"),
            CodeFingerprint = "link",
            InstanceId = new InstanceId(new Guid(link.Nonce)),
            Outcome = ConsumedStateOutcome.Connected,
        };

        // A conflict may be our own write, whose answer was lost.
        return await store.TryAddConsumedStateAsync(row, cancellationToken)
            || (await store.FindConsumedStateAsync(nonce, link.IssuedAt, cancellationToken))?.AttemptId == row.AttemptId;
    }

    private static InstallLink? ReadNamed(byte[] bytes) =>
        HeaderLength + 2 + ((bytes[HeaderLength] << 8) | bytes[HeaderLength + 1]) is var end && end < bytes.Length
            ? new InstallLink(
                bytes[..NonceLength], ReadTime(bytes), Encoding.UTF8.GetString(bytes[(HeaderLength + 2)..end]), Encoding.UTF8.GetString(bytes[end..]))
            : null;

    private static DateTimeOffset ReadTime(byte[] bytes) =>
        new(BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan(NonceLength)), TimeSpan.Zero);
}

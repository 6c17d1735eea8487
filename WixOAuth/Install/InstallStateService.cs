using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using WixOAuth.Protection;

namespace WixOAuth.Install;

/// <summary>An install in flight in one browser, as its cookie tells it.</summary>
/// <param name="Nonce">The nonce of its state, 16 bytes.</param>
/// <param name="IssuedAt">When it began.</param>
/// <param name="Link">The link it began with, 16 bytes; zeros for none.</param>
/// <param name="Customer">Whom of our customers it is for.</param>
internal sealed record InstallState(byte[] Nonce, DateTimeOffset IssuedAt, byte[] Link, string? Customer);

/// <summary>
/// What the handshake gives the browser to carry, so that no storage is needed before the redirect: the state, a
/// cookie for each install in flight, and the links of <c>CreateInstallLink</c>. All encrypted, each with a key of its
/// own (RFC 9700 §2.1: the state is bound to the browser by the cookie).
/// </summary>
public sealed class InstallStateService(StateProtector protector, TimeProvider time)
{
    /// <summary>How long an install may take from the App URL to the redirect.</summary>
    public static readonly TimeSpan StateLifetime = TimeSpan.FromMinutes(10);

    /// <summary>How long a link of <c>CreateInstallLink</c> is good for.</summary>
    public static readonly TimeSpan LinkLifetime = TimeSpan.FromHours(1);

    /// <summary>How many installs one browser may have in flight; the oldest is dropped for a further one.</summary>
    public const int MaxInFlight = 6;

    /// <summary>The longest a customer's name may be, in characters.</summary>
    public const int MaxCustomerLength = 200;

    /// <summary>How many cookies of ours are looked at: those in flight, and a few that are too old.</summary>
    private const int MostRead = MaxInFlight + 3;

    private const string CookiePrefix = "__Host-wix-install-";
    private const int NameLength = 8;
    private const int NonceLength = 16;
    private const int StateLength = NonceLength + sizeof(long);

    // A clock of another process may be ahead of ours by a little.
    private static readonly TimeSpan ClockSkew = TimeSpan.FromSeconds(5);

    internal async Task<(string State, InstallCookie Cookie)> IssueAsync(byte[] link, string? customer, CancellationToken cancellationToken)
    {
        var nonce = RandomNumberGenerator.GetBytes(NonceLength);
        var state = Write(nonce, []);
        var cookie = Write(nonce, [.. link, .. Encoding.UTF8.GetBytes(customer ?? "")]);
        return (
            await protector.ProtectAsync(StatePurpose.InstallState, state, default, cancellationToken),
            new InstallCookie(
                CookieName(nonce),
                await protector.ProtectAsync(StatePurpose.InstallCookie, cookie, default, cancellationToken),
                StateLifetime));
    }

    /// <summary>The nonce of a state, and when it was issued; null for what is not ours.</summary>
    internal async Task<(byte[] Nonce, DateTimeOffset IssuedAt)?> ReadStateAsync(string state, CancellationToken cancellationToken) =>
        await protector.UnprotectAsync(StatePurpose.InstallState, state, default, cancellationToken) is { Length: StateLength } bytes
            ? (bytes[..NonceLength], ReadTime(bytes))
            : null;

    internal bool IsExpired(DateTimeOffset issuedAt) => !IsAlive(issuedAt, StateLifetime);

    /// <summary>The install of that nonce, if this browser carries its cookie.</summary>
    internal async Task<InstallState?> FindAsync(
        IReadOnlyList<KeyValuePair<string, string>> cookies, byte[] nonce, CancellationToken cancellationToken)
    {
        var name = CookieName(nonce);
        foreach (var cookie in cookies.Where(cookie => cookie.Key == name))
        {
            if (await ReadCookieAsync(cookie.Value, cancellationToken) is { } ticket
                && CryptographicOperations.FixedTimeEquals(ticket.Nonce, nonce))
            {
                return ticket;
            }
        }

        return null;
    }

    /// <summary>The installs in flight in this browser, the oldest first, and the names of cookies that are none.</summary>
    internal async Task<(List<(string Name, InstallState Ticket)> InFlight, List<string> Useless)> ReadAllAsync(
        IReadOnlyList<KeyValuePair<string, string>> cookies, CancellationToken cancellationToken)
    {
        List<(string Name, InstallState Ticket)> inFlight = [];
        List<string> useless = [];

        // Anybody can send any number of cookies, and one that does not open is what costs most.
        foreach (var (name, value) in cookies.Where(cookie => IsCookieName(cookie.Key)).Take(MostRead))
        {
            var ticket = await ReadCookieAsync(value, cancellationToken);
            if (ticket is not null && !IsExpired(ticket.IssuedAt))
            {
                inFlight.Add((name, ticket));
                continue;
            }

            useless.Add(name);

            // We set none such. One from before a change of all keys is taken away now, and the next time there is one less.
            if (ticket is null)
            {
                break;
            }
        }

        inFlight.Sort((one, other) => one.Ticket.IssuedAt.CompareTo(other.Ticket.IssuedAt));
        return (inFlight, useless);
    }

    internal async Task<(string Start, DateTimeOffset ExpiresOn)> IssueLinkAsync(string customer, CancellationToken cancellationToken)
    {
        var payload = Write(RandomNumberGenerator.GetBytes(NonceLength), Encoding.UTF8.GetBytes(customer));
        return (
            await protector.ProtectAsync(StatePurpose.InstallLink, payload, default, cancellationToken),
            ReadTime(payload) + LinkLifetime);
    }

    /// <summary>The link's id and its customer; null when it is not ours or too old.</summary>
    internal async Task<(byte[] Link, string Customer)?> ReadLinkAsync(string start, CancellationToken cancellationToken) =>
        await protector.UnprotectAsync(StatePurpose.InstallLink, start, default, cancellationToken) is { Length: > StateLength } bytes
        && IsAlive(ReadTime(bytes), LinkLifetime)
            ? (bytes[..NonceLength], Encoding.UTF8.GetString(bytes, StateLength, bytes.Length - StateLength))
            : null;

    private static readonly System.Buffers.SearchValues<char> HexDigits = System.Buffers.SearchValues.Create("0123456789abcdef");

    private async Task<InstallState?> ReadCookieAsync(string value, CancellationToken cancellationToken) =>
        await protector.UnprotectAsync(StatePurpose.InstallCookie, value, default, cancellationToken) is { Length: >= StateLength + NonceLength } bytes
            ? new InstallState(
                bytes[..NonceLength],
                ReadTime(bytes),
                bytes[StateLength..(StateLength + NonceLength)],
                bytes.Length == StateLength + NonceLength ? null : Encoding.UTF8.GetString(bytes.AsSpan(StateLength + NonceLength)))
            : null;

    private bool IsAlive(DateTimeOffset issuedAt, TimeSpan lifetime) =>
        time.GetUtcNow() - issuedAt is var age && age <= lifetime && age >= -ClockSkew;

    private byte[] Write(byte[] nonce, byte[] rest)
    {
        var bytes = new byte[StateLength + rest.Length];
        nonce.CopyTo(bytes, 0);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(NonceLength), time.GetUtcNow().UtcTicks);
        rest.CopyTo(bytes, StateLength);
        return bytes;
    }

    private static DateTimeOffset ReadTime(byte[] bytes) =>
        new(BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan(NonceLength)), TimeSpan.Zero);

    private static bool IsCookieName(string name) =>
        name.Length == CookiePrefix.Length + (2 * NameLength)
        && name.StartsWith(CookiePrefix, StringComparison.Ordinal)
        && name.AsSpan(CookiePrefix.Length).IndexOfAnyExcept(HexDigits) < 0;

    // The name must not tell the nonce: names are seen where values are not.
    private static string CookieName(byte[] nonce) => CookiePrefix + Convert.ToHexStringLower(SHA256.HashData(nonce), 0, NameLength);
}

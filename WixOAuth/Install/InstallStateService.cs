using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using WixOAuth.Protection;

namespace WixOAuth.Install;

/// <summary>
/// Everything of an install that the browser carries, so that the App URL needs no storage: the state and one cookie for
/// each install in flight. All are encrypted, each kind with its own key, and the cookie binds the state to the
/// browser (RFC 9700 §2.1).
/// </summary>
internal sealed class InstallStateService(StateProtector protector, TimeProvider time)
{
    /// <summary>The longest time from the App URL to the redirect, and from a confirmed link to an install that Wix starts.</summary>
    public static readonly TimeSpan StateLifetime = TimeSpan.FromMinutes(10);

    /// <summary>How many installs one browser may have in flight; a further one replaces the oldest.</summary>
    public const int MaxInFlight = 12;

    /// <summary>How many of the handshake's cookies are read: those in flight and a few that are too old.</summary>
    private const int MaxRead = MaxInFlight + 3;

    internal const string CookiePrefix = "__Host-wix-install-";
    private const int NameLength = 8;
    private const int NonceLength = 16;
    private const int StateLength = NonceLength + sizeof(long);

    // The id and the time of confirmation. Versions before the confirmation page read both as one opaque id.
    private const int LinkLength = 2 * sizeof(long);

    // Processes' clocks differ a little.
    private static readonly TimeSpan ClockSkew = TimeSpan.FromSeconds(5);

    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdef");

    internal async Task<(string State, InstallCookie Cookie)> IssueAsync(ConfirmedLink? link, CancellationToken cancellationToken)
    {
        var install = new InstallState(RandomNumberGenerator.GetBytes(NonceLength), time.GetUtcNow(), link);
        var state = await protector.ProtectAsync(StatePurpose.InstallState, Write(install), default, cancellationToken);
        return (state, await CookieOfAsync(install, cancellationToken));
    }

    /// <summary>The nonce of a state and when it was issued; null for anything that is not ours.</summary>
    internal async Task<(byte[] Nonce, DateTimeOffset IssuedAt)?> ReadStateAsync(string state, CancellationToken cancellationToken) =>
        await protector.UnprotectAsync(StatePurpose.InstallState, state, default, cancellationToken) is { Length: StateLength } bytes
            ? (bytes[..NonceLength], ReadTime(bytes.AsSpan(NonceLength)))
            : null;

    internal bool IsExpired(DateTimeOffset issuedAt) => !IsAlive(time.GetUtcNow() - issuedAt, StateLifetime);

    internal static bool IsAlive(TimeSpan age, TimeSpan lifetime) => age <= lifetime && age >= -ClockSkew;

    /// <summary>The install with that nonce, if this browser carries its cookie.</summary>
    internal async Task<InstallState?> FindAsync(
        IReadOnlyList<KeyValuePair<string, string>> cookies, byte[] nonce, CancellationToken cancellationToken)
    {
        var name = CookieName(nonce);

        // A client can send many cookies of one name; one that fails to decrypt costs the most.
        return cookies.FirstOrDefault(cookie => cookie.Key == name).Value is { } value
            && await ReadCookieAsync(value, cancellationToken) is { } install
            && CryptographicOperations.FixedTimeEquals(install.Nonce, nonce)
                ? install
                : null;
    }

    /// <summary>The installs in flight in this browser, oldest first, and the names of cookies that hold none.</summary>
    internal async Task<(List<(string Name, InstallState Install)> InFlight, List<string> Useless)> ReadAllAsync(
        IReadOnlyList<KeyValuePair<string, string>> cookies, CancellationToken cancellationToken)
    {
        List<(string Name, InstallState Install)> inFlight = [];
        List<string> useless = [];

        // A client can send any number of cookies, and one that cannot be decrypted costs the most, so it ends the search:
        // those of the current key come first, since the others' key may be gone.
        var current = await protector.CurrentPrefixAsync(cancellationToken);
        foreach (var (name, value) in cookies
            .Where(cookie => IsCookieName(cookie.Key))
            .Take(MaxRead)
            .OrderByDescending(cookie => cookie.Value.StartsWith(current, StringComparison.Ordinal)))
        {
            var install = await ReadCookieAsync(value, cancellationToken);
            if (install is not null && !IsExpired(install.IssuedAt))
            {
                inFlight.Add((name, install));
                continue;
            }

            useless.Add(name);

            // We set no such cookie. One sealed with a key that is gone is removed now, and next time there is one less.
            if (install is null)
            {
                break;
            }
        }

        inFlight.Sort((one, other) => one.Install.IssuedAt.CompareTo(other.Install.IssuedAt));
        return (inFlight, useless);
    }

    /// <summary>
    /// The cookies that replace those of a finished install. They still identify the install when its redirect is loaded again,
    /// but no longer contain its link, so that no other install uses it.
    /// </summary>
    internal async Task<IReadOnlyList<InstallCookie>> FinishAsync(
        ConfirmedLink? link, IReadOnlyList<KeyValuePair<string, string>> cookies, CancellationToken cancellationToken)
    {
        if (link is null)
        {
            return [];
        }

        List<InstallCookie> finished = [];
        foreach (var (_, install) in (await ReadAllAsync(cookies, cancellationToken)).InFlight.Where(other => other.Install.Link?.Id == link.Id))
        {
            finished.Add(await CookieOfAsync(install with { Link = null }, cancellationToken));
        }

        return finished;
    }

    private async Task<InstallCookie> CookieOfAsync(InstallState install, CancellationToken cancellationToken)
    {
        var link = new byte[LinkLength];
        BinaryPrimitives.WriteInt64BigEndian(link, install.Link?.Id ?? 0);
        BinaryPrimitives.WriteInt64BigEndian(link.AsSpan(sizeof(long)), install.Link?.ConfirmedAt.UtcTicks ?? 0);
        byte[] payload = [.. Write(install), .. link, .. Encoding.UTF8.GetBytes(install.Link?.Customer ?? "")];
        return new InstallCookie(
            CookieName(install.Nonce),
            await protector.ProtectAsync(StatePurpose.InstallCookie, payload, default, cancellationToken),
            TimeSpan.FromSeconds(Math.Ceiling((install.IssuedAt + StateLifetime - time.GetUtcNow()).TotalSeconds)));
    }

    private async Task<InstallState?> ReadCookieAsync(string value, CancellationToken cancellationToken) =>
        await protector.UnprotectAsync(StatePurpose.InstallCookie, value, default, cancellationToken) is { Length: >= StateLength + LinkLength } bytes
            ? new InstallState(bytes[..NonceLength], ReadTime(bytes.AsSpan(NonceLength)), ReadLink(bytes.AsSpan(StateLength)))
            : null;

    private static ConfirmedLink? ReadLink(ReadOnlySpan<byte> bytes) =>
        bytes.Length > LinkLength
            ? new ConfirmedLink(BinaryPrimitives.ReadInt64BigEndian(bytes), ReadTime(bytes[sizeof(long)..]), Encoding.UTF8.GetString(bytes[LinkLength..]))
            : null;

    private static byte[] Write(InstallState install)
    {
        var bytes = new byte[StateLength];
        install.Nonce.CopyTo(bytes, 0);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(NonceLength), install.IssuedAt.UtcTicks);
        return bytes;
    }

    // In cookies of versions before the confirmation page random bytes stand where the time of confirmation does now.
    private static DateTimeOffset ReadTime(ReadOnlySpan<byte> bytes) =>
        BinaryPrimitives.ReadInt64BigEndian(bytes) is var ticks && ticks >= 0 && ticks <= DateTimeOffset.MaxValue.UtcTicks
            ? new DateTimeOffset(ticks, TimeSpan.Zero)
            : DateTimeOffset.MinValue;

    private static bool IsCookieName(string name) =>
        name.Length == CookiePrefix.Length + (2 * NameLength)
        && name.StartsWith(CookiePrefix, StringComparison.Ordinal)
        && name.AsSpan(CookiePrefix.Length).IndexOfAnyExcept(HexDigits) < 0;

    // The name must not reveal the nonce: names are seen where values are not.
    private static string CookieName(byte[] nonce) => CookiePrefix + Convert.ToHexStringLower(SHA256.HashData(nonce), 0, NameLength);
}

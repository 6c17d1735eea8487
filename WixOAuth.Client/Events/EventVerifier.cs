using System.Buffers.Text;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace WixOAuth.Client;

/// <summary>
/// Checks that an event comes from the WixOAuth service: the signature of Standard Webhooks over a CloudEvents 1.0 JSON
/// body. An event may come more than once: ignore an <see cref="WixOAuthEvent.Id"/> that you have handled.
/// </summary>
public sealed class EventVerifier
{
    /// <summary>The header that holds the message's id.</summary>
    public const string IdHeader = "webhook-id";

    /// <summary>The header that holds the time of sending, in seconds since 1970.</summary>
    public const string TimestampHeader = "webhook-timestamp";

    /// <summary>The header that holds the signatures.</summary>
    public const string SignatureHeader = "webhook-signature";

    /// <summary>How far the time of sending may lie from now, in either direction.</summary>
    public static readonly TimeSpan Tolerance = TimeSpan.FromMinutes(5);

    private const string Prefix = "whsec_";

    private readonly byte[][] _keys;
    private readonly TimeProvider _time;

    /// <summary>Creates a verifier.</summary>
    /// <param name="secret">The service's event secret: <c>whsec_</c> and base64 of 24 to 64 bytes. Two of them separated by a space are both accepted, for rotation.</param>
    /// <param name="time">The clock; the system's if none is given.</param>
    /// <exception cref="ArgumentException">The secret is malformed. The message does not quote it.</exception>
    public EventVerifier(string secret, TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(secret);
        _keys = [.. secret.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(KeyOf)];
        _time = time ?? TimeProvider.System;
        if (_keys.Length == 0)
        {
            throw new ArgumentException("The secret is empty.", nameof(secret));
        }
    }

    /// <summary>Verifies an event and reads it.</summary>
    /// <param name="body">The request's body, byte for byte.</param>
    /// <param name="header">Returns a header's value by its name, for example <c>name => request.Headers[name]</c>.</param>
    /// <exception cref="EventVerificationException">The event is not to be trusted: answer 400 or 401.</exception>
    public WixOAuthEvent Verify(ReadOnlySpan<byte> body, Func<string, string?> header)
    {
        ArgumentNullException.ThrowIfNull(header);
        return Verify(body, header(IdHeader), header(TimestampHeader), header(SignatureHeader));
    }

    /// <summary>Verifies an event and reads it.</summary>
    /// <param name="body">The request's body, byte for byte.</param>
    /// <param name="id">The header <c>webhook-id</c>.</param>
    /// <param name="timestamp">The header <c>webhook-timestamp</c>.</param>
    /// <param name="signatures">The header <c>webhook-signature</c>.</param>
    /// <exception cref="EventVerificationException">The event is not to be trusted: answer 400 or 401.</exception>
    public WixOAuthEvent Verify(ReadOnlySpan<byte> body, string? id, string? timestamp, string? signatures)
    {
        if (string.IsNullOrEmpty(id) || string.IsNullOrEmpty(timestamp) || string.IsNullOrEmpty(signatures))
        {
            throw new EventVerificationException("A header of Standard Webhooks is missing.");
        }

        if (!long.TryParse(timestamp, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
            || (_time.GetUtcNow() - DateTimeOffset.UnixEpoch - TimeSpan.FromSeconds(Math.Min(seconds, uint.MaxValue))).Duration() > Tolerance)
        {
            throw new EventVerificationException("The time of sending is not within five minutes of now.");
        }

        if (!IsSigned([.. Encoding.UTF8.GetBytes($"{id}.{timestamp}."), .. body], signatures))
        {
            throw new EventVerificationException("No signature is made with this secret.");
        }

        return Read(body);
    }

    private bool IsSigned(byte[] content, string signatures)
    {
        // Once for each key: anybody may send many signatures.
        var expected = _keys.Select(key => HMACSHA256.HashData(key, content)).ToArray();
        Span<byte> given = stackalloc byte[HMACSHA256.HashSizeInBytes];
        var signed = false;
        foreach (var signature in signatures.Split(' '))
        {
            if (!signature.StartsWith("v1,", StringComparison.Ordinal)
                || !Convert.TryFromBase64Chars(signature.AsSpan(3), given, out var length)
                || length != given.Length)
            {
                continue;
            }

            foreach (var each in expected)
            {
                signed |= CryptographicOperations.FixedTimeEquals(given, each);
            }
        }

        return signed;
    }

    private static WixOAuthEvent Read(ReadOnlySpan<byte> body)
    {
        try
        {
            return JsonSerializer.Deserialize(body, EventJson.Default.WixOAuthEvent) is { SpecVersion: "1.0", Id.Length: > 0, Type.Length: > 0 } read
                ? read
                : throw new EventVerificationException("The body is not a CloudEvents 1.0 event.");
        }
        catch (JsonException exception)
        {
            throw new EventVerificationException("The body is not a CloudEvents 1.0 event.", exception);
        }
    }

    private static byte[] KeyOf(string secret)
    {
        var text = secret.StartsWith(Prefix, StringComparison.Ordinal) ? secret.AsSpan(Prefix.Length) : secret;
        var bytes = new byte[64];
        return Base64.IsValid(text) && Convert.TryFromBase64Chars(text, bytes, out var length) && length >= 24
            ? bytes[..length]
            : throw new ArgumentException("The secret should be whsec_ and base64 of 24 to 64 bytes.", nameof(secret));
    }
}

/// <summary>An event is not signed by the service, too old, or malformed.</summary>
/// <param name="message">Why; never the secret or the signature.</param>
/// <param name="innerException">The cause.</param>
public sealed class EventVerificationException(string message, Exception? innerException = null) : Exception(message, innerException);

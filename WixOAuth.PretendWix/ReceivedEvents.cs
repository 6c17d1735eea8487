using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace WixOAuth.PretendWix;

/// <summary>An event that was posted to the receiver that plays the part of the user's own app.</summary>
/// <param name="At">When it arrived, by the server's clock.</param>
/// <param name="Id">The header <c>webhook-id</c>; the same in every delivery of an event.</param>
/// <param name="Type">The CloudEvents <c>type</c>; null where the body is not a CloudEvent.</param>
/// <param name="InstanceId">The CloudEvents <c>subject</c>; null where it is no instance id.</param>
/// <param name="Problem">Why the signature was not verified; null when it was.</param>
/// <param name="IsRepeated">Whether an event with the same id was taken before.</param>
/// <param name="Status">The status answered.</param>
public sealed record PretendWixEvent(
    DateTimeOffset At, string Id, string? Type, Guid? InstanceId, string? Problem, bool IsRepeated, int Status);

/// <summary>
/// What a receiver of events got: the latest, each verified as Standard Webhooks describes
/// (<see href="https://www.standardwebhooks.com"/>).
/// </summary>
/// <param name="secrets">One secret or, while they are rotated, two separated by a space.</param>
/// <param name="time">The clock that time stamps are compared with.</param>
internal sealed class ReceivedEvents(string secrets, TimeProvider time)
{
    private const int Remembered = 200;
    private const int MaxTextLength = 200;
    private static readonly TimeSpan s_tolerance = TimeSpan.FromMinutes(5);

    private readonly Lock _gate = new();
    private readonly Queue<PretendWixEvent> _latest = new();

    /// <summary>The latest events, oldest first.</summary>
    public IReadOnlyList<PretendWixEvent> Latest
    {
        get
        {
            lock (_gate)
            {
                return [.. _latest];
            }
        }
    }

    /// <summary>Verifies and records an event.</summary>
    /// <param name="headers">The headers of the request.</param>
    /// <param name="body">Its body, byte by byte as it came.</param>
    /// <param name="status">What to answer when it is verified.</param>
    /// <returns>The status to answer.</returns>
    public int Take(IHeaderDictionary headers, ReadOnlySpan<byte> body, int status)
    {
        var problem = FindProblem(headers, body);
        var (type, instanceId) = ReadEvent(body);
        var id = Shorten(headers["webhook-id"].ToString());
        var answer = problem is null ? status : StatusCodes.Status401Unauthorized;
        lock (_gate)
        {
            var isRepeated = _latest.Any(taken => taken.Id == id && taken.Problem is null && taken.Status is >= 200 and < 300);
            _latest.Enqueue(new(time.GetUtcNow(), id, type, instanceId, problem, isRepeated, answer));
            if (_latest.Count > Remembered)
            {
                _latest.Dequeue();
            }
        }

        return answer;
    }

    public void Clear()
    {
        lock (_gate)
        {
            _latest.Clear();
        }
    }

    private string? FindProblem(IHeaderDictionary headers, ReadOnlySpan<byte> body)
    {
        var (id, timestamp, signatures) = (headers["webhook-id"].ToString(), headers["webhook-timestamp"].ToString(), headers["webhook-signature"].ToString());
        if (id.Length == 0 || signatures.Length == 0 || !long.TryParse(timestamp, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds))
        {
            return "not signed";
        }

        if (Math.Abs(time.GetUtcNow().ToUnixTimeSeconds() - seconds) > s_tolerance.TotalSeconds)
        {
            return "too old, or from the future";
        }

        byte[] signed = [.. Encoding.UTF8.GetBytes($"{id}.{timestamp}."), .. body];
        var given = signatures.Split(' ');
        return secrets.Split(' ').Any(secret => given.Contains($"v1,{Convert.ToBase64String(HMACSHA256.HashData(KeyOf(secret), signed))}")) ? null : "wrong signature";
    }

    private static byte[] KeyOf(string secret)
    {
        try
        {
            return Convert.FromBase64String(secret["whsec_".Length..]);
        }
        catch (Exception e) when (e is FormatException or ArgumentOutOfRangeException)
        {
            // The service refuses such a secret at its start, and names it.
            return [];
        }
    }

    private static (string? Type, Guid? InstanceId) ReadEvent(ReadOnlySpan<byte> body)
    {
        try
        {
            var reader = new Utf8JsonReader(body);
            using var document = JsonDocument.ParseValue(ref reader);
            var type = document.RootElement.GetProperty("type").GetString();
            return (type is null ? null : Shorten(type), Guid.TryParseExact(document.RootElement.GetProperty("subject").GetString(), "D", out var id) ? id : null);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return (null, null);
        }
    }

    private static string Shorten(string text) => text.Length > MaxTextLength ? text[..MaxTextLength] : text;
}

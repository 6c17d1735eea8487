using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Azure.Data.Tables;
using WixOAuth.Instances;
using WixOAuth.Processes;
using WixOAuth.Protection;

namespace WixOAuth.Crash;

/// <summary>
/// Reads what processes send to the storage: which site, which step, and what a write says. Writes it down, stops who
/// is to be stopped, and can cut everybody off.
/// </summary>
internal sealed partial class StorageWatch(Journal journal, Traps traps, TokenProtector protector)
{
    private readonly Lock _lock = new();
    private readonly ConcurrentDictionary<(int Node, Guid Site, string Attempt), byte> _attempts = new();
    private int _underWay;
    private long _count;
    private bool _isCutOff;
    private TaskCompletionSource? _drained;

    /// <summary>How many requests there were.</summary>
    public long Count => Interlocked.Read(ref _count);

    /// <summary>What stands before the storage for one process.</summary>
    public StorageHook HookOf(int node) => (request, forward) => PassAsync(node, request, forward);

    /// <summary>
    /// From now on no request is answered, whether or not it is carried out. Ends when nothing is under way
    /// to the storage any more.
    /// </summary>
    public Task CutOffAsync()
    {
        lock (_lock)
        {
            _isCutOff = true;
            _drained = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            if (_underWay == 0)
            {
                _drained.SetResult();
            }

            return _drained.Task;
        }
    }

    public void Reconnect()
    {
        lock (_lock)
        {
            _isCutOff = false;
        }
    }

    private async Task<StorageAnswer?> PassAsync(int node, StorageRequest request, Func<Task<StorageAnswer>> forward)
    {
        var sentAt = Journal.Now;
        Interlocked.Increment(ref _count);
        var sent = await ReadAsync(node, request);
        if ((sent.Before is { } before && !await traps.PassAsync(node, before, sent.Site)) || !TryEnter())
        {
            return null;
        }

        StorageAnswer answer;
        try
        {
            answer = await forward();
            if (sent.Write is { } write)
            {
                journal.Add(write with { Node = node, SentAt = sentAt, AnsweredAt = Journal.Now, ETag = ETagOf(answer) });
            }
        }
        finally
        {
            Leave();
        }

        return (sent.After is not { } after || await traps.PassAsync(node, after, sent.Site)) && !_isCutOff ? answer : null;
    }

    private bool TryEnter()
    {
        lock (_lock)
        {
            _underWay += _isCutOff ? 0 : 1;
            return !_isCutOff;
        }
    }

    private void Leave()
    {
        lock (_lock)
        {
            if (--_underWay == 0 && _isCutOff)
            {
                _drained!.TrySetResult();
            }
        }
    }

    private async Task<Sent> ReadAsync(int node, StorageRequest request)
    {
        var target = Uri.UnescapeDataString(request.Target);
        if (request.Method == "GET")
        {
            return RowOf(target) is { } read ? new Sent(Point.ReadAsked, Point.ReadAnswered, read)
                : target.Contains("'d|", StringComparison.Ordinal) ? new Sent(Point.DueAsked, Point.DueAnswered, null)
                : default;
        }

        if (target.Contains("RowKey='u|", StringComparison.Ordinal) && Guid.TryParseExact(SiteKey().Match(target).Groups["id"].Value, "D", out var used))
        {
            return new Sent(Point.LastUseAsked, Point.LastUseLanded, used);
        }

        var body = Encoding.UTF8.GetString(request.Body.Span);
        if (RowOf(target) is { } site)
        {
            return await ReadWriteAsync(node, site, body, request.Headers.TryGetValue("If-Match", out var values) ? values[0] : null, isTransaction: false, events: []);
        }

        // In a transaction the instance's own row comes first. The delivery of events has transactions without one.
        var rows = target.Contains("$batch", StringComparison.Ordinal) ? Line().Matches(body).Where(line => line.ValueSpan[0] == '{').ToList() : [];
        if (rows.Count == 0 || InstanceKey().Match(rows[0].Value) is not { Success: true } key)
        {
            return default;
        }

        var headers = IfMatch().Match(body[..rows[0].Index]);
        return await ReadWriteAsync(
            node,
            Guid.ParseExact(key.Groups["id"].Value, "D"),
            rows[0].Value,
            headers.Success ? headers.Groups["etag"].Value.Trim() : null,
            isTransaction: true,
            [.. rows.Skip(1).Select(row => EventOf(row.Value)).OfType<EventRow>()]);
    }

    private static EventRow? EventOf(string json) =>
        EventKey().Match(json) is { Success: true } key ? new EventRow($"{key.Groups["id"].Value}-{key.Groups["sequence"].Value.TrimStart('0')}", EventType().Match(json).Groups["type"].Value) : null;

    private async Task<Sent> ReadWriteAsync(int node, Guid site, string json, string? ifMatch, bool isTransaction, IReadOnlyList<EventRow> events)
    {
        var id = new InstanceId(site);
        var state = Storage.InstanceRow.Read(id, ToEntity(json));
        var access = state.AccessToken is { } sealedAccess
            ? await protector.UnprotectAccessTokenAsync(id, state.Generation, sealedAccess, CancellationToken.None)
            : null;
        var refresh = await RefreshTokenOfAsync(state);

        // A commit bears the id of the attempt that took the lease. A process can have two for a site: a probe's too.
        var kind = state.Lease is { } ? isTransaction ? WriteKind.Other : WriteKind.Lease
            : state.Failures is { } ? WriteKind.Failure
            : state.CommitId is { } attempt && _attempts.ContainsKey((node, site, attempt)) ? WriteKind.Commit
            : WriteKind.Other;
        if (kind == WriteKind.Lease)
        {
            _attempts[(node, site, state.Lease!.Owner)] = 0;
        }

        var (before, after) = kind switch
        {
            WriteKind.Lease => (Point.LeaseAsked, Point.LeaseLanded),
            WriteKind.Failure => (Point.FailureAsked, Point.FailureLanded),
            WriteKind.Commit => (Point.CommitAsked, Point.CommitLanded),
            _ => ((Point?)null, (Point?)null),
        };
        return new Sent(before, after, site, new RowWrite(default, default, 0, kind, ifMatch, null, state, access?.Reveal(), refresh, events));
    }

    public async Task<string?> RefreshTokenOfAsync(Instance state) => state.RefreshToken is { } refresh
        ? (await protector.UnprotectRefreshTokenAsync(state.Id, state.RefreshTokenGeneration ?? state.Generation, refresh, CancellationToken.None))?.Reveal()
        : null;

    private static Guid? RowOf(string target) =>
        InstanceRow().Match(target) is { Success: true } match && Guid.TryParseExact(match.Groups["id"].Value, "D", out var id) ? id : null;

    private static string? ETagOf(StorageAnswer answer)
    {
        if (answer.Status is < 200 or > 299)
        {
            return null;
        }

        if (answer.Headers.TryGetValue("ETag", out var single))
        {
            return single[0];
        }

        // In a transaction the answers stand in its order, and the instance's own row comes first.
        var body = Encoding.UTF8.GetString(answer.Body.Span);
        return Status().Match(body) is { Success: true } status && status.Groups["status"].ValueSpan[0] == '2'
            ? ETag().Match(body).Groups["etag"].Value.Trim()
            : null;
    }

    private static TableEntity ToEntity(string json)
    {
        using var document = JsonDocument.Parse(json);
        var entity = new TableEntity();
        foreach (var property in document.RootElement.EnumerateObject().Where(property => !property.Name.Contains("odata.", StringComparison.Ordinal)))
        {
            var type = document.RootElement.TryGetProperty(property.Name + "@odata.type", out var named) ? named.GetString() : null;
            var text = property.Value.ToString();
            entity[property.Name] = (type, property.Value.ValueKind) switch
            {
                ("Edm.DateTime", _) => DateTimeOffset.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal),
                ("Edm.Int64", _) => long.Parse(text, CultureInfo.InvariantCulture),
                ("Edm.Binary", _) => Convert.FromBase64String(text),
                (_, JsonValueKind.Number) => property.Value.GetInt32(),
                (_, JsonValueKind.True or JsonValueKind.False) => property.Value.GetBoolean(),
                _ => text,
            };
        }

        return entity;
    }

    [GeneratedRegex(@"RowKey='i\|(?<id>[0-9a-f-]{36})'")]
    private static partial Regex InstanceRow();

    [GeneratedRegex(@"""RowKey"":""i\|(?<id>[0-9a-f-]{36})""")]
    private static partial Regex InstanceKey();

    [GeneratedRegex(@"""RowKey"":""o\|(?<id>[0-9a-f-]{36})\|(?<sequence>\d+)""")]
    private static partial Regex EventKey();

    [GeneratedRegex(@"""Type"":""(?<type>[a-z_]+)""")]
    private static partial Regex EventType();

    [GeneratedRegex(@"RowKey='\w\|(?<id>[0-9a-f-]{36})'")]
    private static partial Regex SiteKey();

    [GeneratedRegex(@"^If-Match: (?<etag>.+)$", RegexOptions.Multiline)]
    private static partial Regex IfMatch();

    [GeneratedRegex(@"^ETag: (?<etag>.+)$", RegexOptions.Multiline | RegexOptions.IgnoreCase)]
    private static partial Regex ETag();

    [GeneratedRegex(@"^HTTP/1.1 (?<status>\d{3})", RegexOptions.Multiline)]
    private static partial Regex Status();

    [GeneratedRegex(@"^[^\r\n]+", RegexOptions.Multiline)]
    private static partial Regex Line();

    private readonly record struct Sent(Point? Before, Point? After, Guid? Site, RowWrite? Write = null);
}

using System.Collections.Concurrent;
using WixOAuth.Instances;

namespace WixOAuth.Crash;

/// <summary>What Wix makes of a refresh token that was used.</summary>
internal enum Rotation
{
    /// <summary>Nothing: each refresh answers the same one. So Wix documents it (wix-protocol §5).</summary>
    Same,

    /// <summary>A new one comes; the old one stays good until the new one is used for the first time.</summary>
    Grace,

    /// <summary>A new one comes; the old one is void at once. A response that is not saved is a lost refresh token.</summary>
    Strict,
}

/// <summary>A site.</summary>
/// <param name="Id">Its instance id.</param>
/// <param name="Rotation">What Wix makes of its refresh tokens.</param>
/// <param name="Revoked">Whether its refresh token was made void on purpose.</param>
internal sealed record Site(Guid Id, Rotation Rotation, bool Revoked = false);

/// <summary>A site's row as it is stored in the table.</summary>
/// <param name="Site">Whose.</param>
/// <param name="ETag">Its version.</param>
/// <param name="State">What it says.</param>
/// <param name="RefreshToken">The refresh token in it, decrypted.</param>
internal sealed record Row(Guid Site, string ETag, Instance State, string? RefreshToken);

/// <summary>What a write was for.</summary>
internal enum WriteKind
{
    Lease,
    Commit,
    Failure,
    Other,
}

/// <summary>A write of a site's row that the storage has answered.</summary>
/// <param name="SentAt">When it left the process.</param>
/// <param name="AnsweredAt">When the storage answered it.</param>
/// <param name="Node">By which process.</param>
/// <param name="Kind">What for.</param>
/// <param name="IfMatch">The version it was made from; null when it did not say.</param>
/// <param name="ETag">Its own version; null when it was refused.</param>
/// <param name="State">What it says.</param>
/// <param name="AccessToken">The access token in it, decrypted.</param>
/// <param name="RefreshToken">The refresh token in it, decrypted.</param>
/// <param name="Events">The events that are stored with it, in their order.</param>
internal sealed record RowWrite(
    DateTimeOffset SentAt,
    DateTimeOffset AnsweredAt,
    int Node,
    WriteKind Kind,
    string? IfMatch,
    string? ETag,
    Instance State,
    string? AccessToken,
    string? RefreshToken,
    IReadOnlyList<EventRow>? Events = null)
{
    public Guid Site { get; } = Guid.ParseExact(State.Id.ToString(), "D");

    public bool Landed => ETag is not null;
}

/// <summary>An event in the outbox.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Type">What it tells of, without the prefix that it is sent with.</param>
internal sealed record EventRow(string Id, string Type);

/// <summary>An event that the receiver has read.</summary>
/// <param name="At">When.</param>
/// <param name="Id">Its id.</param>
/// <param name="HeaderId">Its id, as the header says.</param>
/// <param name="Site">Of which site.</param>
/// <param name="Type">What it tells of.</param>
/// <param name="Time">When that happened.</param>
/// <param name="IsAccepted">Whether the receiver answered 204.</param>
internal sealed record Arrival(DateTimeOffset At, string Id, string HeaderId, Guid Site, string Type, DateTimeOffset Time, bool IsAccepted);

/// <summary>How Wix answered.</summary>
internal enum WixOutcome
{
    Accepted,
    Rejected,
    Unavailable,
}

/// <summary>A call for tokens, as Wix saw it.</summary>
/// <param name="ReceivedAt">When it came.</param>
/// <param name="ActedAt">When Wix acted.</param>
/// <param name="Node">From which process.</param>
/// <param name="Site">For which site.</param>
/// <param name="Grant">By which grant.</param>
/// <param name="Used">The refresh token that was used.</param>
/// <param name="Outcome">How it was answered.</param>
/// <param name="AccessToken">The access token that was issued.</param>
/// <param name="Issued">The refresh token that was issued, or the same one.</param>
/// <param name="Lifetime">How long the access token lives.</param>
internal sealed record WixCall(
    DateTimeOffset ReceivedAt,
    DateTimeOffset ActedAt,
    int Node,
    Guid Site,
    Grant Grant,
    string? Used,
    WixOutcome Outcome,
    string? AccessToken = null,
    string? Issued = null,
    TimeSpan Lifetime = default);

/// <summary>One GetToken.</summary>
/// <param name="Node">Of which process.</param>
/// <param name="Site">For which site.</param>
/// <param name="MinTtl">What was demanded.</param>
/// <param name="Rejected">The access token that was reported as rejected.</param>
/// <param name="StartedAt">When it was sent.</param>
/// <param name="EndedAt">When it was answered.</param>
/// <param name="Status">The status; 0 when the connection broke.</param>
/// <param name="AccessToken">The answer's token.</param>
/// <param name="ExpiresIn">The seconds that it still lived.</param>
/// <param name="ExpiresOn">When it ends.</param>
internal sealed record Ask(
    int Node,
    Guid Site,
    TimeSpan MinTtl,
    string? Rejected,
    DateTimeOffset StartedAt,
    DateTimeOffset EndedAt,
    int Status,
    string? AccessToken = null,
    TimeSpan ExpiresIn = default,
    DateTimeOffset ExpiresOn = default);

/// <summary>A caller that asks any living process until it gets a token.</summary>
/// <param name="Site">For which site.</param>
/// <param name="StartedAt">Since when.</param>
/// <param name="ServedAt">Until when; null when it never came.</param>
internal sealed record Wish(Guid Site, DateTimeOffset StartedAt, DateTimeOffset? ServedAt)
{
    /// <summary>What it asked, in order.</summary>
    public IReadOnlyList<Ask> Asks { get; init; } = [];
}

/// <summary>A process was killed.</summary>
/// <param name="At">When it was gone.</param>
/// <param name="Node">Which.</param>
/// <param name="Step">At which step; null for one at random.</param>
/// <param name="Site">At which site's step.</param>
internal sealed record Kill(DateTimeOffset At, int Node, string? Step, Guid? Site);

/// <summary>The storage was gone.</summary>
internal sealed record Outage(DateTimeOffset From, DateTimeOffset Until);

/// <summary>For a while Wix, or what stands before it, answered with a page of HTML.</summary>
/// <param name="From">Since when.</param>
/// <param name="Until">Until when.</param>
/// <param name="Status">With which status.</param>
/// <param name="Part">Which part of the calls.</param>
/// <param name="EveryEndpoint">Whether for client credentials too.</param>
internal sealed record Storm(DateTimeOffset From, DateTimeOffset Until, int Status, double Part, bool EveryEndpoint);

/// <summary>A process had another protection key than the rest.</summary>
/// <param name="Node">Which.</param>
/// <param name="From">Since when.</param>
/// <param name="Until">When it was killed.</param>
/// <param name="IsTold">Whether it had said so by then.</param>
internal sealed record WrongKey(int Node, DateTimeOffset From, DateTimeOffset Until, bool IsTold);

/// <summary>All that was seen of a run; the times are of one clock.</summary>
internal sealed record History
{
    public IReadOnlyList<Site> Sites { get; init; } = [];

    public IReadOnlyList<Row> First { get; init; } = [];

    public IReadOnlyList<RowWrite> Writes { get; init; } = [];

    public IReadOnlyList<WixCall> Calls { get; init; } = [];

    public IReadOnlyList<Ask> Asks { get; init; } = [];

    public IReadOnlyList<Wish> Wishes { get; init; } = [];

    public IReadOnlyList<Kill> Kills { get; init; } = [];

    public IReadOnlyList<Outage> Outages { get; init; } = [];

    /// <summary>Answers of Wix that their process did not wait for, or that came too late for it.</summary>
    public IReadOnlyCollection<WixCall> Unheard { get; init; } = [];

    public IReadOnlyList<Storm> Storms { get; init; } = [];

    public IReadOnlyList<WrongKey> WrongKeys { get; init; } = [];

    /// <summary>The sites that are imported, removed and so on, for their events.</summary>
    public IReadOnlyCollection<Guid> Lives { get; init; } = [];

    public IReadOnlyList<Arrival> Arrivals { get; init; } = [];

    public IReadOnlyList<Row> Last { get; init; } = [];

    /// <summary>The refresh token of each site that Wix would take now.</summary>
    public IReadOnlyDictionary<Guid, string> Good { get; init; } = new Dictionary<Guid, string>();

    /// <summary>What processes logged that no kill explains.</summary>
    public IReadOnlyList<string> Faults { get; init; } = [];
}

/// <summary>Writes the history down while it happens.</summary>
internal sealed class Journal
{
    private readonly ConcurrentQueue<Site> _sites = new();
    private readonly ConcurrentQueue<RowWrite> _writes = new();
    private readonly ConcurrentQueue<WixCall> _calls = new();
    private readonly ConcurrentQueue<Ask> _asks = new();
    private readonly ConcurrentQueue<Wish> _wishes = new();
    private readonly ConcurrentQueue<Kill> _kills = new();
    private readonly ConcurrentQueue<Outage> _outages = new();
    private readonly ConcurrentQueue<WixCall> _unheard = new();
    private readonly ConcurrentQueue<Storm> _storms = new();
    private readonly ConcurrentQueue<WrongKey> _wrongKeys = new();
    private readonly ConcurrentQueue<Arrival> _arrivals = new();
    private readonly ConcurrentQueue<string> _faults = new();

    public static DateTimeOffset Now => TimeProvider.System.GetUtcNow();

    public void Add(Site site) => _sites.Enqueue(site);

    public void Add(RowWrite write) => _writes.Enqueue(write);

    public void Add(WixCall call) => _calls.Enqueue(call);

    public void Add(Ask ask) => _asks.Enqueue(ask);

    public void Add(Wish wish) => _wishes.Enqueue(wish);

    public void Add(Kill kill) => _kills.Enqueue(kill);

    public void Add(Outage outage) => _outages.Enqueue(outage);

    public void AddUnheard(WixCall call) => _unheard.Enqueue(call);

    public void Add(Storm storm) => _storms.Enqueue(storm);

    public void Add(WrongKey wrongKey) => _wrongKeys.Enqueue(wrongKey);

    public void Add(Arrival arrival) => _arrivals.Enqueue(arrival);

    public void AddFault(string line) => _faults.Enqueue(line);

    public History Close(IReadOnlyList<Row> first, IReadOnlyList<Row> last, IReadOnlyDictionary<Guid, string> good) => new()
    {
        Sites = [.. _sites],
        First = first,
        Writes = [.. _writes],
        Calls = [.. _calls],
        Asks = [.. _asks],
        Wishes = [.. _wishes],
        Kills = [.. _kills],
        Outages = [.. _outages],
        Unheard = _unheard.ToHashSet(),
        Storms = [.. _storms],
        WrongKeys = [.. _wrongKeys],
        Arrivals = [.. _arrivals],
        Faults = [.. _faults],
        Last = last,
        Good = good,
    };
}

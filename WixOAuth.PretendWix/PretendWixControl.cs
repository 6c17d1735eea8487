using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;

namespace WixOAuth.PretendWix;

/// <summary>A call that the API got.</summary>
/// <param name="Number">Its place in the order of arrival, from 1.</param>
/// <param name="At">When it arrived, by the server's clock.</param>
/// <param name="Endpoint">One of <see cref="PretendWixEndpoints"/>, or <c>close-window</c>.</param>
/// <param name="Grant">The <c>grant_type</c>.</param>
/// <param name="InstanceId">Whose token, code or id it carried.</param>
/// <param name="Status">The status answered; 0 where no whole answer was given.</param>
/// <param name="Detail">The event's name, the reason for a refusal, or the fault.</param>
public sealed record PretendWixCall(
    long Number, DateTimeOffset At, string Endpoint, string? Grant, Guid? InstanceId, int Status, string? Detail);

/// <summary>How often the API was called since the start or the last reset.</summary>
/// <param name="Calls">By endpoint.</param>
/// <param name="Succeeded">By endpoint: those that were answered with 200 in full.</param>
/// <param name="Grants">By <c>grant_type</c>.</param>
/// <param name="MaxConcurrencyPerInstance">The most calls for tokens that any one instance ever had under way at once.</param>
/// <param name="Elsewhere">How often a redirect was followed that must not be followed.</param>
public sealed record PretendWixCounts(
    IReadOnlyDictionary<string, long> Calls,
    IReadOnlyDictionary<string, long> Succeeded,
    IReadOnlyDictionary<string, long> Grants,
    int MaxConcurrencyPerInstance,
    long Elsewhere);

/// <summary>How often the API was called about one instance.</summary>
/// <param name="Calls">By endpoint.</param>
/// <param name="Grants">By <c>grant_type</c>.</param>
/// <param name="MaxConcurrency">The most calls for tokens under way at once.</param>
public sealed record PretendWixInstanceCounts(IReadOnlyDictionary<string, int> Calls, IReadOnlyDictionary<string, int> Grants, int MaxConcurrency);

/// <summary>What a test holds in its hands: switches, faults, gates, counts and records.</summary>
public sealed class PretendWixControl
{
    internal static readonly string[] Grants = ["authorization_code", "refresh_token", "client_credentials"];

    private const int RememberedCalls = 512;
    private const int RememberedSecrets = 20_000;

    private readonly TimeProvider _time;
    private readonly byte[] _firstSecret;
    private readonly ArmedFault?[] _faults = new ArmedFault?[PretendWixEndpoints.Names.Length];
    private readonly long[] _calls = new long[PretendWixEndpoints.Names.Length];
    private readonly long[] _succeeded = new long[PretendWixEndpoints.Names.Length];
    private readonly long[] _grants = new long[Grants.Length];
    private readonly PretendWixCall?[] _recent = new PretendWixCall?[RememberedCalls];
    private readonly ConcurrentDictionary<string, byte> _secrets = new(StringComparer.Ordinal);
    private byte[][] _appSecrets;
    private PretendWixSwitches _switches = new();
    private WixState? _wix;
    private long _lastCall;
    private long _elsewhere;
    private int _secretCount;

    internal PretendWixControl(PretendWixOptions options)
    {
        _time = options.TimeProvider;
        _firstSecret = Encoding.UTF8.GetBytes(options.AppSecret);
        _appSecrets = [_firstSecret];
    }

    /// <summary>How it behaves: assign a changed copy.</summary>
    public PretendWixSwitches Switches
    {
        get => Volatile.Read(ref _switches);
        set
        {
            ArgumentNullException.ThrowIfNull(value);
            value.Validate();
            Volatile.Write(ref _switches, value);
        }
    }

    /// <summary>Awaited before an endpoint acts, with its name; the call is already counted. It is cancelled only by the server's end.</summary>
    public Func<string, CancellationToken, Task>? Gate { get; set; }

    /// <summary>Awaited after an endpoint has acted, before it answers.</summary>
    public Func<string, CancellationToken, Task>? GateAfter { get; set; }

    /// <summary>Whether <see cref="IssuedSecrets"/> is kept. Turn it off under load.</summary>
    public bool RemembersSecrets { get; set; } = true;

    /// <summary>Every code and token ever issued: a log that holds one of them leaks. Never sent over HTTP.</summary>
    /// <exception cref="InvalidOperationException">There were too many to remember: a search would prove nothing.</exception>
    public IReadOnlyCollection<string> IssuedSecrets =>
        RemembersSecrets && Volatile.Read(ref _secretCount) <= RememberedSecrets
            ? [.. _secrets.Keys]
            : throw new InvalidOperationException("Not every secret was remembered.");

    /// <summary>The latest calls, oldest first; some five hundred are remembered.</summary>
    public IReadOnlyList<PretendWixCall> Calls =>
        [.. Enumerable.Range(0, RememberedCalls).Select(i => Volatile.Read(ref _recent[i])).OfType<PretendWixCall>().OrderBy(call => call.Number)];

    /// <summary>How often it was called.</summary>
    public PretendWixCounts Counts => new(
        ByName(PretendWixEndpoints.Names, _calls),
        ByName(PretendWixEndpoints.Names, _succeeded),
        ByName(Grants, _grants),
        WixState.AllSites.Select(site => site.MaxInFlight).DefaultIfEmpty().Max(),
        Interlocked.Read(ref _elsewhere));

    internal WixState WixState
    {
        get => _wix ?? throw new InvalidOperationException("Not started.");
        set => _wix = value;
    }

    internal IReadOnlyDictionary<string, ArmedFault> Faults =>
        PretendWixEndpoints.Names
            .Select((name, i) => (name, fault: Volatile.Read(ref _faults[i])))
            .Where(pair => pair.fault is not null)
            .ToDictionary(pair => pair.name, pair => pair.fault!);

    /// <summary>How often it was called about one instance.</summary>
    /// <param name="instanceId">The instance.</param>
    public PretendWixInstanceCounts CountsOf(Guid instanceId) => WixState.GetSite(instanceId).Counts();

    /// <summary>Makes an endpoint go wrong, in place of any fault it had.</summary>
    /// <param name="endpoint">One of <see cref="PretendWixEndpoints"/>.</param>
    /// <param name="fault">How.</param>
    public void Fail(string endpoint, PretendWixFault fault)
    {
        ArgumentNullException.ThrowIfNull(fault);
        fault.Validate();
        Volatile.Write(ref _faults[PretendWixEndpoints.IndexOf(endpoint)], new ArmedFault(fault));
    }

    /// <summary>Ends an endpoint's fault.</summary>
    /// <param name="endpoint">One of <see cref="PretendWixEndpoints"/>.</param>
    public void Heal(string endpoint) => Volatile.Write(ref _faults[PretendWixEndpoints.IndexOf(endpoint)], null);

    /// <summary>Gives the app a new secret.</summary>
    /// <param name="newSecret">The new one.</param>
    /// <param name="oldStaysValid">Whether the old ones go on working.</param>
    public void RotateAppSecret(string newSecret, bool oldStaysValid)
    {
        ArgumentException.ThrowIfNullOrEmpty(newSecret);
        var added = Encoding.UTF8.GetBytes(newSecret);
        Volatile.Write(ref _appSecrets, oldStaysValid ? [.. Volatile.Read(ref _appSecrets), added] : [added]);
    }

    /// <summary>Ends faults, delays and a changed app secret; all other switches, and what is on record, stay.</summary>
    internal void EndTroubles()
    {
        var well = new PretendWixSwitches();
        Switches = Switches with { LatencyMs = well.LatencyMs, ReceiverStatus = well.ReceiverStatus };
        Array.Clear(_faults);
        Volatile.Write(ref _appSecrets, [_firstSecret]);
    }

    /// <summary>Rejects an instance's refresh tokens, until its owner consents again or this is undone.</summary>
    /// <param name="instanceId">The instance.</param>
    /// <param name="rejected">Whether they are rejected.</param>
    public void RejectRefreshToken(Guid instanceId, bool rejected = true) =>
        WixState.RejectRefreshToken(WixState.GetSite(instanceId), rejected);

    /// <summary>Back to the first state: switches, faults, gates, app secret, counts and records. Sites and their installs stay.</summary>
    public void Reset()
    {
        Switches = new();
        Array.Clear(_faults);
        Gate = null;
        GateAfter = null;
        Volatile.Write(ref _appSecrets, [_firstSecret]);
        Array.Clear(_calls);
        Array.Clear(_succeeded);
        Array.Clear(_grants);
        Array.Clear(_recent);
        _secrets.Clear();
        Volatile.Write(ref _secretCount, 0);
        Interlocked.Exchange(ref _elsewhere, 0);
        foreach (var site in WixState.AllSites)
        {
            site.ResetCounts();
        }
    }

    /// <summary>Whether the app secret that it was started with is accepted.</summary>
    internal bool HasFirstSecret => Volatile.Read(ref _appSecrets).Contains(_firstSecret);

    internal static int GrantIndex(string? grant) => Array.IndexOf(Grants, grant);

    internal bool IsAppSecret(string? secret)
    {
        var bytes = Encoding.UTF8.GetBytes(secret ?? "");
        return Volatile.Read(ref _appSecrets).Any(known => CryptographicOperations.FixedTimeEquals(known, bytes));
    }

    internal void Remember(string secret)
    {
        if (RemembersSecrets && Volatile.Read(ref _secretCount) <= RememberedSecrets && _secrets.TryAdd(secret, 0))
        {
            Interlocked.Increment(ref _secretCount);
        }
    }

    internal bool TryTakeFault(int endpoint, string? grant, Guid? instanceId, [NotNullWhen(true)] out PretendWixFault? fault)
    {
        fault = Volatile.Read(ref _faults[endpoint]) is { } armed && armed.TryTake(grant, instanceId) ? armed.Fault : null;
        return fault is not null;
    }

    internal void Enter(int endpoint, int grant, Site? site)
    {
        Interlocked.Increment(ref _calls[endpoint]);
        if (grant >= 0)
        {
            Interlocked.Increment(ref _grants[grant]);
        }

        site?.Enter(endpoint, grant);
    }

    internal void Leave(int endpoint, int grant, Site? site, int status, string? detail)
    {
        site?.Leave(grant);
        if (status == StatusCodes.Status200OK)
        {
            Interlocked.Increment(ref _succeeded[endpoint]);
        }

        Record(PretendWixEndpoints.Names[endpoint], grant < 0 ? null : Grants[grant], site, status, detail);
    }

    internal void Record(string endpoint, string? grant, Site? site, int status, string? detail)
    {
        var number = Interlocked.Increment(ref _lastCall);
        Volatile.Write(
            ref _recent[number % RememberedCalls],
            new PretendWixCall(number, _time.GetUtcNow(), endpoint, grant, site?.InstanceId, status, detail));
    }

    internal void WentElsewhere() => Interlocked.Increment(ref _elsewhere);

    private static Dictionary<string, long> ByName(string[] names, long[] counts) =>
        names.Select((name, i) => (name, count: Interlocked.Read(ref counts[i]))).ToDictionary(pair => pair.name, pair => pair.count);
}

using System.Security.Cryptography;
using System.Text;

namespace WixOAuth.PretendWix;

/// <summary>A site and its one installation of the app. What changes is changed under a lock on the site.</summary>
internal sealed class Site
{
    private int _inFlight;
    private int _maxInFlight;
    private readonly int[] _calls = new int[PretendWixEndpoints.Names.Length];
    private readonly int[] _grants = new int[3];

    public Lock Gate { get; } = new();

    public required Guid InstanceId { get; init; }

    public required string Name { get; init; }

    public Guid? OriginInstanceId { get; init; }

    /// <summary>Made by seeding, from its number alone.</summary>
    public bool Seeded { get; init; }

    public PretendSiteStatus Status { get; set; }

    public int Epoch { get; set; }

    public int Serial { get; set; }

    public int OldestValidSerial { get; set; } = 1;

    public bool RefreshRejected { get; set; }

    public bool SetupComplete { get; set; }

    public int MajorVersion { get; set; } = 1;

    public Guid SiteId => Derive("site", InstanceId.ToString());

    public Uri Url => new($"https://www.example.com/{InstanceId.ToString()[..8]}");

    public PretendSite Snapshot()
    {
        lock (Gate)
        {
            return new(InstanceId, SiteId, Name, Url, Status, SetupComplete, $"{MajorVersion}.0.0", OriginInstanceId);
        }
    }

    public void Enter(int endpoint, int grant)
    {
        Interlocked.Increment(ref _calls[endpoint]);
        if (grant >= 0)
        {
            Interlocked.Increment(ref _grants[grant]);
            var now = Interlocked.Increment(ref _inFlight);
            for (var max = Volatile.Read(ref _maxInFlight); now > max; max = Volatile.Read(ref _maxInFlight))
            {
                Interlocked.CompareExchange(ref _maxInFlight, now, max);
            }
        }
    }

    public void Leave(int grant)
    {
        if (grant >= 0)
        {
            Interlocked.Decrement(ref _inFlight);
        }
    }

    public int MaxInFlight => Volatile.Read(ref _maxInFlight);

    public PretendWixInstanceCounts Counts() => new(
        PretendWixEndpoints.Names.Select((name, i) => (name, Volatile.Read(ref _calls[i]))).ToDictionary(pair => pair.name, pair => pair.Item2),
        PretendWixControl.Grants.Select((name, i) => (name, Volatile.Read(ref _grants[i]))).ToDictionary(pair => pair.name, pair => pair.Item2),
        MaxInFlight);

    public void ResetCounts()
    {
        Array.Clear(_calls);
        Array.Clear(_grants);
        Volatile.Write(ref _maxInFlight, Volatile.Read(ref _inFlight));
    }

    public static Guid Derive(string kind, string name) =>
        new(SHA256.HashData(Encoding.UTF8.GetBytes($"pretend-wix/{kind}/{name}")).AsSpan(0, 16));
}

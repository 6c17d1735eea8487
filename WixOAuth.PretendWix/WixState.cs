using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;

namespace WixOAuth.PretendWix;

/// <summary>
/// What the pretend Wix knows: its sites, their installs, and the codes and tokens that it issued. With a file, every change is
/// in the file before it is answered.
/// </summary>
internal sealed partial class WixState
{
    private readonly ConcurrentDictionary<Guid, Site> _sites = new();
    private readonly ConcurrentQueue<Site> _namedSites = new();
    private readonly ConcurrentDictionary<Guid, Site> _changedSeeds = new();
    private readonly UsedCodes _usedCodes;
    private readonly PretendWixControl _control;
    private readonly TimeProvider _time;
    private readonly WixStateFile? _file;
    private readonly IssuedTexts _texts;
    private readonly byte[] _ticketKey;
    private readonly Lazy<RSA> _webhookKey;
    private int _seeded;

    public WixState(PretendWixOptions options, PretendWixControl control)
    {
        _control = control;
        _time = options.TimeProvider;
        _usedCodes = new UsedCodes(_time);
        _file = options.StateFile is null ? null : new WixStateFile(options.StateFile);

        var saved = _file?.Read();
        _ticketKey = saved?.TicketKey ?? RandomNumberGenerator.GetBytes(32);
        _texts = new IssuedTexts(_ticketKey, options.AppId);

        // Made when first asked for: an RSA key costs a tenth of a second, and most tests never see a webhook.
        _webhookKey = new(() => LoadOrMakeKey(saved?.WebhookKeyPem));
        if (saved is null)
        {
            foreach (var name in new[] { "Rosemary & Rye Bakery", "Nordlicht Ceramics", "Halden Bike Repair" })
            {
                AddSite(name);
            }
        }
        else
        {
            Restore(saved);
        }

        Save();
    }

    public RSA WebhookKey
    {
        get
        {
            if (_webhookKey.IsValueCreated)
            {
                return _webhookKey.Value;
            }

            var key = _webhookKey.Value;
            Save();
            return key;
        }
    }

    public int SiteCount => _sites.Count;

    /// <summary>All but the seeded ones, in the order they were made in.</summary>
    public IEnumerable<Site> NamedSites => _namedSites;

    public IEnumerable<Site> AllSites => _sites.Values;

    public bool TryGetSite(Guid instanceId, [NotNullWhen(true)] out Site? site) => _sites.TryGetValue(instanceId, out site);

    public Site GetSite(Guid instanceId) =>
        TryGetSite(instanceId, out var site) ? site : throw new ArgumentException($"No instance {instanceId}.", nameof(instanceId));

    public Site AddSite(string name, Guid? origin = null)
    {
        var site = new Site { InstanceId = Guid.NewGuid(), Name = name, OriginInstanceId = origin };
        if (origin is not null)
        {
            // A clone has the app without anyone's consent (wix-protocol §8), thus no refresh token.
            site.Status = PretendSiteStatus.Installed;
        }

        _sites[site.InstanceId] = site;
        _namedSites.Enqueue(site);
        Save();
        return site;
    }

    public IReadOnlyList<PretendSeed> Seed(int count)
    {
        for (var number = Interlocked.CompareExchange(ref _seeded, 0, 0); number < count; number++)
        {
            var site = SeededSite(number);
            _sites.TryAdd(site.InstanceId, site);
        }

        for (var seen = _seeded; seen < count; seen = _seeded)
        {
            Interlocked.CompareExchange(ref _seeded, count, seen);
        }

        Save();
        return [.. Enumerable.Range(0, count).Select(SeededId).Select(id => new PretendSeed(id, WriteRefreshToken(GetSite(id))))];
    }

    /// <summary>The owner agrees. Says what it was before, so that the caller knows whether this is news for webhooks.</summary>
    public PretendSiteStatus Consent(Site site)
    {
        PretendSiteStatus before;
        lock (site.Gate)
        {
            before = site.Status;
            if (before == PretendSiteStatus.Installed)
            {
                site.MajorVersion++;
            }
            else
            {
                site.Status = PretendSiteStatus.Installed;
                site.SetupComplete = false;
            }

            Touch(site);
        }

        Save();
        return before;
    }

    public bool Remove(Site site)
    {
        lock (site.Gate)
        {
            if (site.Status != PretendSiteStatus.Installed)
            {
                return false;
            }

            site.Status = PretendSiteStatus.Removed;
            site.SetupComplete = false;
            site.Epoch++;
            site.OldestValidSerial = site.Serial + 1;
            site.RefreshRejected = false;
            Touch(site);
        }

        Save();
        return true;
    }

    public void MarkSetUp(Site site)
    {
        lock (site.Gate)
        {
            site.SetupComplete = true;
            Touch(site);
        }

        Save();
    }

    public void RejectRefreshToken(Site site, bool rejected)
    {
        lock (site.Gate)
        {
            site.RefreshRejected = rejected;
            Touch(site);
        }

        Save();
    }

    private static Guid SeededId(int number) => Site.Derive("seed", number.ToString(CultureInfo.InvariantCulture));

    private static Site SeededSite(int number) => new()
    {
        InstanceId = SeededId(number),
        Name = $"Seeded site {number}",
        Seeded = true,
        Status = PretendSiteStatus.Installed,
        Serial = 1,
        SetupComplete = true,
    };

    private static RSA LoadOrMakeKey(string? pem)
    {
        var key = RSA.Create(2_048);
        if (pem is not null)
        {
            key.ImportFromPem(pem);
        }

        return key;
    }

    // A seeded site can be made again from its number: only a changed one need lie in the file.
    private void Touch(Site site)
    {
        if (site.Seeded)
        {
            _changedSeeds[site.InstanceId] = site;
        }
    }

    private void Restore(SavedWixState saved)
    {
        Volatile.Write(ref _seeded, saved.Seeded);
        for (var number = 0; number < saved.Seeded; number++)
        {
            var site = SeededSite(number);
            _sites[site.InstanceId] = site;
        }

        foreach (var site in saved.Sites)
        {
            var restored = site.Restore();
            _sites[restored.InstanceId] = restored;
            if (restored.Seeded)
            {
                Touch(restored);
            }
            else
            {
                _namedSites.Enqueue(restored);
            }
        }

        foreach (var (id, until) in saved.UsedCodes)
        {
            _usedCodes.TryAdd(id, until);
        }
    }

    private void Save() => _file?.Write(() => new SavedWixState
    {
        TicketKey = _ticketKey,
        WebhookKeyPem = _file.WebhookKeyPem ??= _webhookKey.IsValueCreated ? _webhookKey.Value.ExportPkcs8PrivateKeyPem() : null,
        Seeded = Volatile.Read(ref _seeded),
        Sites = [.. _namedSites.Concat(_changedSeeds.Values).Select(SavedSite.Of)],
        UsedCodes = _usedCodes.Living(),
    });
}

using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;

namespace WixOAuth.PretendWix;

/// <summary>Why something was refused.</summary>
internal enum Refusal
{
    None,
    Unknown,
    Expired,
    Used,
    Removed,
    Replaced,
    Revoked,
}

/// <summary>The sites, their installs, and what was issued to them. With a file, every change is in it before it is answered.</summary>
internal sealed class Ledger
{
    private readonly ConcurrentDictionary<Guid, Site> _sites = new();
    private readonly ConcurrentQueue<Site> _namedSites = new();
    private readonly ConcurrentDictionary<Guid, Site> _changedSeeds = new();
    private readonly ConcurrentDictionary<string, long> _usedCodes = new(StringComparer.Ordinal);
    private readonly Lock _usedCodesPruning = new();
    private readonly PretendWixControl _control;
    private readonly TimeProvider _time;
    private readonly LedgerFile? _file;
    private readonly TicketOffice _tickets;
    private readonly byte[] _ticketKey;
    private readonly Lazy<RSA> _webhookKey;
    private int _seeded;

    public Ledger(PretendWixOptions options, PretendWixControl control)
    {
        _control = control;
        _time = options.TimeProvider;
        _file = options.StateFile is null ? null : new LedgerFile(options.StateFile);

        var saved = _file?.Read();
        _ticketKey = saved?.TicketKey ?? RandomNumberGenerator.GetBytes(32);
        _tickets = new TicketOffice(_ticketKey, options.AppId);

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

    public string IssueInstallToken(Site site)
    {
        var token = Write(TicketKind.Install, site, _control.Switches.InstallTokenLifetime, length: 0, withExp: false);
        _control.Remember(token);
        return token;
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

    public string IssueCode(Site site)
    {
        var switches = _control.Switches;
        var code = Write(TicketKind.Code, site, switches.CodeLifetime, switches.CodeLength, withExp: true);
        _control.Remember(code);
        return code;
    }

    public string IssueAccessToken(Site site, TimeSpan lifetime)
    {
        var switches = _control.Switches;
        var token = Write(TicketKind.Access, site, lifetime, switches.AccessTokenLength, switches.AccessTokenHasExp);
        _control.Remember(token);
        return token;
    }

    public string WriteRefreshToken(Site site)
    {
        int serial;
        lock (site.Gate)
        {
            serial = site.Serial;
        }

        return WriteRefreshToken(site, serial);
    }

    public Refusal Redeem(string? code, out Site? site, out string? refreshToken)
    {
        refreshToken = null;
        var refusal = Check(code, TicketKind.Code, out site, out var ticket);
        if (refusal != Refusal.None)
        {
            return refusal;
        }

        lock (site!.Gate)
        {
            refusal = CheckInstalled(site, ticket!);
            if (refusal == Refusal.None && !_usedCodes.TryAdd(ticket!.Id, ticket.UntilMs))
            {
                refusal = Refusal.Used;
                if (_control.Switches.SecondUseOfCodeRevokes)
                {
                    site.Epoch++;
                    site.OldestValidSerial = site.Serial + 1;
                    Touch(site);
                }
            }

            if (refusal == Refusal.None)
            {
                refreshToken = NextRefreshToken(site);
            }
        }

        PruneUsedCodes();
        Save();
        return refusal;
    }

    public Refusal Refresh(string? refreshToken, out Site? site, out string? answer)
    {
        answer = refreshToken;
        var refusal = Check(refreshToken, TicketKind.Refresh, out site, out var ticket);
        if (refusal != Refusal.None)
        {
            return refusal;
        }

        var rotates = _control.Switches.RefreshTokenAnswer == RefreshTokenAnswer.New;
        lock (site!.Gate)
        {
            refusal = CheckRefreshable(site, ticket!);
            if (refusal == Refusal.None && rotates)
            {
                answer = NextRefreshToken(site);
            }
        }

        if (refusal == Refusal.None)
        {
            _control.Remember(answer!);
        }

        if (rotates)
        {
            Save();
        }

        return refusal;
    }

    public Refusal CheckAccessToken(string? token, out Site? site, out Ticket? ticket)
    {
        var refusal = Check(token, TicketKind.Access, out site, out ticket);
        if (refusal != Refusal.None)
        {
            return refusal;
        }

        lock (site!.Gate)
        {
            return CheckInstalled(site, ticket!);
        }
    }

    /// <summary>Checks a refresh token without using it.</summary>
    public Refusal CheckRefreshToken(string? token, out Site? site)
    {
        var refusal = Check(token, TicketKind.Refresh, out site, out var ticket);
        if (refusal != Refusal.None)
        {
            return refusal;
        }

        lock (site!.Gate)
        {
            return CheckRefreshable(site, ticket!);
        }
    }

    public Refusal CheckInstallToken(string? token, out Site? site) => Check(token, TicketKind.Install, out site, out _);

    /// <summary>Whose text this is, whatever it is still good for: counts are kept by instance for rejected calls too.</summary>
    public Site? OwnerOf(string? text) => _tickets.Read(text) is { } ticket && TryGetSite(ticket.InstanceId, out var site) ? site : null;

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

    private static Refusal CheckInstalled(Site site, Ticket ticket) =>
        site.Status != PretendSiteStatus.Installed || site.Epoch != ticket.Epoch ? Refusal.Removed : Refusal.None;

    private static Refusal CheckRefreshable(Site site, Ticket ticket) =>
        site.Status != PretendSiteStatus.Installed ? Refusal.Removed
        : site.RefreshRejected ? Refusal.Revoked
        : ticket.Serial < site.OldestValidSerial ? Refusal.Replaced
        : Refusal.None;

    private static RSA LoadOrMakeKey(string? pem)
    {
        var key = RSA.Create(2_048);
        if (pem is not null)
        {
            key.ImportFromPem(pem);
        }

        return key;
    }

    private Refusal Check(string? text, TicketKind kind, out Site? site, out Ticket? ticket)
    {
        site = null;
        ticket = _tickets.Read(text);
        return ticket is null || ticket.Kind != kind || !TryGetSite(ticket.InstanceId, out site) ? Refusal.Unknown
            : ticket.UntilMs <= _time.GetUtcNow().ToUnixTimeMilliseconds() ? Refusal.Expired
            : Refusal.None;
    }

    private string NextRefreshToken(Site site)
    {
        site.Serial++;
        Touch(site);
        site.RefreshRejected = false;
        if (!_control.Switches.OldRefreshTokensStayValid)
        {
            site.OldestValidSerial = site.Serial;
        }

        var token = WriteRefreshToken(site, site.Serial);
        _control.Remember(token);
        return token;
    }

    private string WriteRefreshToken(Site site, int serial) => _tickets.Write(
        new Ticket(TicketKind.Refresh, site.InstanceId, Epoch: 0, serial, Id: "", IssuedMs: 0, UntilMs: long.MaxValue), length: 0, withExp: false);

    private string Write(TicketKind kind, Site site, TimeSpan lifetime, int length, bool withExp)
    {
        int epoch;
        lock (site.Gate)
        {
            epoch = site.Epoch;
        }

        var now = _time.GetUtcNow();
        var id = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
        var ticket = new Ticket(kind, site.InstanceId, epoch, 0, id, now.ToUnixTimeMilliseconds(), (now + lifetime).ToUnixTimeMilliseconds());
        return _tickets.Write(ticket, length, withExp);
    }

    // A seeded site can be made again from its number: only a changed one need lie in the file.
    private void Touch(Site site)
    {
        if (site.Seeded)
        {
            _changedSeeds[site.InstanceId] = site;
        }
    }

    private void PruneUsedCodes()
    {
        // An expired code is refused as such: only those that still live must be remembered.
        if (_usedCodes.Count < 1_000 || !_usedCodesPruning.TryEnter())
        {
            return;
        }

        try
        {
            var now = _time.GetUtcNow().ToUnixTimeMilliseconds();
            foreach (var (id, until) in _usedCodes)
            {
                if (until <= now)
                {
                    _usedCodes.TryRemove(id, out _);
                }
            }
        }
        finally
        {
            _usedCodesPruning.Exit();
        }
    }

    private void Restore(SavedLedger saved)
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
            _usedCodes[id] = until;
        }
    }

    private void Save() => _file?.Write(() => new SavedLedger
    {
        TicketKey = _ticketKey,
        WebhookKeyPem = _file.WebhookKeyPem ??= _webhookKey.IsValueCreated ? _webhookKey.Value.ExportPkcs8PrivateKeyPem() : null,
        Seeded = Volatile.Read(ref _seeded),
        Sites = [.. _namedSites.Concat(_changedSeeds.Values).Select(SavedSite.Of)],
        UsedCodes = _usedCodes.Where(code => code.Value > _time.GetUtcNow().ToUnixTimeMilliseconds()).ToDictionary(),
    });
}

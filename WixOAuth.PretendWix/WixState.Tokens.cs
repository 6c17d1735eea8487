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

// The codes and tokens: issued, used and checked.
internal sealed partial class WixState
{
    public string IssueInstallToken(Site site)
    {
        var token = Write(IssuedTextKind.Install, site, _control.Switches.InstallTokenLifetime, length: 0, withExp: false);
        _control.Remember(token);
        return token;
    }

    public string IssueCode(Site site)
    {
        var switches = _control.Switches;
        var code = Write(IssuedTextKind.Code, site, switches.CodeLifetime, switches.CodeLength, withExp: true);
        _control.Remember(code);
        return code;
    }

    public string IssueAccessToken(Site site, TimeSpan lifetime)
    {
        var switches = _control.Switches;
        var token = Write(IssuedTextKind.Access, site, lifetime, switches.AccessTokenLength, switches.AccessTokenHasExp);
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
        var refusal = Check(code, IssuedTextKind.Code, out site, out var issued);
        if (refusal != Refusal.None)
        {
            return refusal;
        }

        lock (site!.Gate)
        {
            refusal = CheckInstalled(site, issued!);
            if (refusal == Refusal.None && !_usedCodes.TryAdd(issued!.Id, issued.UntilMs))
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

        _usedCodes.Prune();
        Save();
        return refusal;
    }

    public Refusal Refresh(string? refreshToken, out Site? site, out string? answer)
    {
        answer = refreshToken;
        var refusal = Check(refreshToken, IssuedTextKind.Refresh, out site, out var issued);
        if (refusal != Refusal.None)
        {
            return refusal;
        }

        var rotates = _control.Switches.RefreshTokenAnswer == RefreshTokenAnswer.New;
        lock (site!.Gate)
        {
            refusal = CheckRefreshable(site, issued!);
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

    public Refusal CheckAccessToken(string? token, out Site? site, out IssuedText? issued)
    {
        var refusal = Check(token, IssuedTextKind.Access, out site, out issued);
        if (refusal != Refusal.None)
        {
            return refusal;
        }

        lock (site!.Gate)
        {
            return CheckInstalled(site, issued!);
        }
    }

    /// <summary>Checks a refresh token without using it.</summary>
    public Refusal CheckRefreshToken(string? token, out Site? site)
    {
        var refusal = Check(token, IssuedTextKind.Refresh, out site, out var issued);
        if (refusal != Refusal.None)
        {
            return refusal;
        }

        lock (site!.Gate)
        {
            return CheckRefreshable(site, issued!);
        }
    }

    public Refusal CheckInstallToken(string? token, out Site? site) => Check(token, IssuedTextKind.Install, out site, out _);

    /// <summary>Whose text this is, whatever it is still good for: counts are kept by instance for rejected calls too.</summary>
    public Site? OwnerOf(string? text) => _texts.Read(text) is { } issued && TryGetSite(issued.InstanceId, out var site) ? site : null;

    private static Refusal CheckInstalled(Site site, IssuedText issued) =>
        site.Status != PretendSiteStatus.Installed || site.Epoch != issued.Epoch ? Refusal.Removed : Refusal.None;

    private static Refusal CheckRefreshable(Site site, IssuedText issued) =>
        site.Status != PretendSiteStatus.Installed ? Refusal.Removed
        : site.RefreshRejected ? Refusal.Revoked
        : issued.Serial < site.OldestValidSerial ? Refusal.Replaced
        : Refusal.None;

    private Refusal Check(string? text, IssuedTextKind kind, out Site? site, out IssuedText? issued)
    {
        site = null;
        issued = _texts.Read(text);
        return issued is null || issued.Kind != kind || !TryGetSite(issued.InstanceId, out site) ? Refusal.Unknown
            : issued.UntilMs <= _time.GetUtcNow().ToUnixTimeMilliseconds() ? Refusal.Expired
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

    private string WriteRefreshToken(Site site, int serial) => _texts.Write(
        new IssuedText(IssuedTextKind.Refresh, site.InstanceId, Epoch: 0, serial, Id: "", IssuedMs: 0, UntilMs: long.MaxValue), length: 0, withExp: false);

    private string Write(IssuedTextKind kind, Site site, TimeSpan lifetime, int length, bool withExp)
    {
        int epoch;
        lock (site.Gate)
        {
            epoch = site.Epoch;
        }

        var now = _time.GetUtcNow();
        var id = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
        var issued = new IssuedText(kind, site.InstanceId, epoch, 0, id, now.ToUnixTimeMilliseconds(), (now + lifetime).ToUnixTimeMilliseconds());
        return _texts.Write(issued, length, withExp);
    }
}

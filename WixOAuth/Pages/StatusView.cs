using System.Globalization;
using WixOAuth.Events;
using WixOAuth.Instances;
using WixOAuth.Tokens;

namespace WixOAuth.Pages;

/// <summary>
/// What the operators' page shows; <paramref name="List"/> is one of <see cref="StatusPage.Lists"/>, or null. An app
/// that has never told Wix of a set-up must not be made to by one press of a button (wix-protocol §6): then
/// <paramref name="SendsSetup"/> is false, and nothing is said of set-ups.
/// </summary>
internal sealed record StatusModel(
    DateTimeOffset Now,
    Overview Overview,
    IReadOnlyList<RefreshCount> History,
    IReadOnlyList<Instance> Instances,
    string? List,
    string? Search,
    string? Cursor,
    string? Next,
    bool SendsSetup,
    IReadOnlyList<string> Troubles,
    StoredEvents? Events,
    bool SendsEvents);

/// <summary>How the sites stand, as the operators' page shows it.</summary>
internal static class StatusView
{
    /// <summary>What the shell puts in its places.</summary>
    public static string Render(StatusModel model) => Html.Of($"""
        {At(model)}
        {Live(model)}
        {Instances(model)}
        """).ToString();

    private static Html At(StatusModel model) =>
        Html.Of($"""<p class="dim" id="at">as of {Time(model.Now)}</p>""");

    private static Html Live(StatusModel model)
    {
        var overview = model.Overview;
        return Html.Of($"""
            <div id="live">
            {Banners(model)}
            <ul class="tiles">
            {Tile("active", "active", overview.ByStatus[InstanceStatus.Active], "")}
            {Tile(StatusPage.Failing, "active, last refresh failed", overview.Failing, "warn")}
            {Tile("reinstall_required", "reinstall required", overview.ByStatus[InstanceStatus.ReinstallRequired], "bad")}
            {Tile("removed", "removed", overview.ByStatus[InstanceStatus.Removed], "")}
            </ul>
            {Custody(model)}
            {(overview.IsPartial ? Html.Of($"""<p class="dim">Counted are the first {N(InstanceOverview.Limit)} instances.</p>""") : default)}
            <div class="two">
            <section class="card" aria-labelledby="life"><h2 id="life">How long the active sites’ tokens live</h2>{Life(overview)}</section>
            <section class="card" aria-labelledby="hour"><h2 id="hour">Refreshes in the last hour</h2>{Hour(model.History)}</section>
            </div>
            {StatusEvents.Render(model.Events, model.SendsEvents, model.Now)}
            </div>
            """);
    }

    // Whether events are parked is counted: what health says of it may be a minute old, and the button is to show its effect.
    private static Html Banners(StatusModel model) => StatusBanners.Render(
    [
        .. model.Troubles.Where(trouble => trouble != StatusBanners.EventsParked),
        .. model.Events is { Parked: > 0 } ? [StatusBanners.EventsParked] : Array.Empty<string>(),
    ]);

    /// <summary>What concerns refresh tokens, a line for each; nothing where all is well.</summary>
    private static Html Custody(StatusModel model)
    {
        var overview = model.Overview;
        var byGrant = overview.ByGrant;
        (bool Holds, string Css, string Words)[] lines =
        [
            (overview.Unreadable > 0, "card warning", $"{N(overview.Unreadable)} with a refresh token that no protection key opens: kept, served by client credentials. A version of the protection key is missing."),
            (overview.OnFallback > overview.Unreadable, "card warning", $"{N(overview.OnFallback - overview.Unreadable)} with a refresh token that Wix rejects: kept, served by client credentials, tried again by itself."),
            (byGrant.Values.Sum() > 0, "dim", $"Access tokens: {N(byGrant.GetValueOrDefault(Grant.RefreshToken))} by refresh token, {N(byGrant.GetValueOrDefault(Grant.ClientCredentials))} by client credentials."),
        ];
        return Html.Concat(lines.Where(line => line.Holds).Select(line => Html.Of($"""<p class="{line.Css}">{line.Words}</p>""")));
    }

    private static Html Tile(string list, string words, int count, string trouble) =>
        Html.Of($"""<li><button type="button" id="tile-{list}" data-list="{list}" class="{(count > 0 ? trouble : "")}"><b>{N(count)}</b>{words}</button></li>""");

    private static Html Life(Overview overview)
    {
        (string Words, int Count)[] parts =
        [
            ("no token, though they should have one", overview.Overdue),
            ("no token: not in use", overview.Resting),
            ("up to 30 s", overview.ByLife[0]),
            ("up to 1 min", overview.ByLife[1]),
            ("up to 2 min", overview.ByLife[2]),
            ("up to 5 min", overview.ByLife[3]),
            ("longer", overview.ByLife[4]),
        ];
        var total = Math.Max(1, parts.Sum(part => part.Count));
        var (bars, words) = (new List<Html>(), new List<Html>());
        var x = 0.0;
        for (var i = 0; i < parts.Length; i++)
        {
            var width = 600.0 * parts[i].Count / total;
            bars.Add(Html.Of($"""<rect class="k{i}" x="{x:F1}" y="0" width="{width:F1}" height="28"/>"""));
            words.Add(Html.Of($"""<dt><i class="k{i}"></i>{parts[i].Words}</dt><dd class="{(i == 0 && parts[i].Count > 0 ? "bad" : "")}">{N(parts[i].Count)}</dd>"""));
            x += width;
        }

        return Html.Of($"""
            <svg viewBox="0 0 600 28" aria-hidden="true"><rect class="rest" x="0" y="0" width="600" height="28"/>{Html.Concat(bars)}</svg>
            <dl>{Html.Concat(words)}</dl>
            """);
    }

    private static Html Hour(IReadOnlyList<RefreshCount> history)
    {
        var most = Math.Max(1, history.Max(count => count.Succeeded + count.Failed));
        var bars = new List<Html>();
        for (var i = 0; i < history.Count; i++)
        {
            var (good, bad) = (80.0 * history[i].Succeeded / most, 80.0 * history[i].Failed / most);
            bars.Add(Html.Of($"""
                <rect class="rest" x="{i * 50}" y="79" width="44" height="1"/><rect class="ok" x="{i * 50}" y="{80 - good:F1}" width="44" height="{good:F1}"/><rect class="bad" x="{i * 50}" y="{80 - good - bad:F1}" width="44" height="{bad:F1}"/>
                """));
        }

        return Html.Of($"""
            <svg viewBox="0 0 600 80" aria-hidden="true">{Html.Concat(bars)}</svg>
            <p class="dim ends" aria-hidden="true"><span>an hour ago</span><span>now</span></p>
            <dl><dt>brought a token</dt><dd>{N(history.Sum(count => count.Succeeded))}</dd><dt>failed</dt><dd>{N(history.Sum(count => count.Failed))}</dd></dl>
            """);
    }

    private static Html Instances(StatusModel model)
    {
        var (count, isOnTheWay) = (model.Instances.Count, model.Next is not null && !string.IsNullOrEmpty(model.Search));
        var title = (count, isOnTheWay) switch
        {
            (0, true) => "None found so far",
            (_, true) => $"{count} found so far",
            (0, _) => "No instance found",
            (1, _) => "1 instance",
            _ => $"{count} instances",
        };
        return Html.Of($"""
            <div id="instances">
            <h2 id="found" tabindex="-1">{title}</h2>
            <ul class="list">{Html.Concat(model.Instances.Select(instance => Row(instance, model)))}</ul>
            <p class="acts">
            {(model.Cursor is null ? default : Html.Of($"""<button type="button" id="first" data-cursor="">Back to the beginning</button>"""))}
            {(model.Next is null ? default : Html.Of($"""<button type="button" id="next" data-cursor="{model.Next}">{(string.IsNullOrEmpty(model.Search) ? "Next page" : "Search on")}</button>"""))}
            </p>
            </div>
            """);
    }

    private static Html Row(Instance instance, StatusModel model)
    {
        var name = string.IsNullOrWhiteSpace(instance.Site?.Name) ? "Site without a name" : instance.Site.Name;
        var link = SafeUrl(instance.Site?.Url) is { } url
            ? Html.Of($"""<a href="{url}" target="_blank" rel="noopener noreferrer nofollow">{name}</a>""")
            : Html.Of($"{name}");
        var customer = instance.Customer is null ? default : Html.Of($"""<p class="dim">Customer: {instance.Customer}</p>""");
        var failing = instance.IsFailing ? Html.Of($""" <span class="pill failing">failing</span>""") : default;
        var status = SnakeCaseEnum.Of(instance.Status);
        return Html.Of($"""
            <li>
            <div><h3>{link}</h3><p class="dim"><code>{instance.Id.ToString()}</code></p>{customer}</div>
            <div><p><span class="pill {status}">{status.Replace('_', ' ')}</span>{failing}</p>{Story(instance, model)}</div>
            <div class="acts">{Actions(instance, name, model.SendsSetup)}</div>
            </li>
            """);
    }

    private static Html Story(Instance instance, StatusModel model)
    {
        var now = model.Now;
        List<Html> story = [];
        if (instance.RefreshedAt is { } refreshedAt)
        {
            story.Add(Html.Of($"""<p class="dim">Last refresh {Ago(now - refreshedAt)}</p>"""));
        }

        if (instance.Failures is { } failures)
        {
            story.Add(Html.Of($"<p>{Plain(failures.LastError)} ({Ago(now - failures.LastAt)}{(failures.Count > 1 ? $", {N(failures.Count)} in a row" : "")})</p>"));
        }

        if (instance.RemovedAt is { } removedAt && instance.Status == InstanceStatus.Removed)
        {
            story.Add(Html.Of($"""<p class="dim">{(instance.Forgotten ? "Forgotten" : "Removed")} {Ago(now - removedAt)}</p>"""));
        }
        else if (model.SendsSetup && instance.SetupCompletedAt is null)
        {
            story.Add(Html.Of($"""<p class="dim">Set-up not completed at Wix</p>"""));
        }

        return Html.Concat(story);
    }

    private static Html Actions(Instance instance, string name, bool sendsSetup)
    {
        if (instance.Status == InstanceStatus.Removed)
        {
            return default;
        }

        var id = instance.Id.ToString();
        var setup = sendsSetup && instance.SetupCompletedAt is null
            ? Html.Of($"""<button type="button" id="setup-{id}" data-act="setup" data-id="{id}" data-name="{name}">Complete set-up<span class="sr"> of {name}</span></button>""")
            : default;
        return Html.Of(
            $"""<button type="button" id="refresh-{id}" data-act="refresh" data-id="{id}" data-name="{name}">Refresh now<span class="sr"> {name}</span></button>{setup}<button type="button" id="forget-{id}" data-act="forget" data-id="{id}" data-name="{name}">Forget…<span class="sr"> {name}</span></button>""");
    }

    private static string Plain(TokenError error) => error switch
    {
        TokenError.Rejected => "Wix rejects every grant that is allowed for it",
        TokenError.WixUnavailable => "Wix could not be reached",
        TokenError.UnexpectedAnswer => "Wix answered something that makes no sense",
        TokenError.Undecryptable => "Its stored tokens cannot be decrypted: the protection key is missing",
        _ => "The app secret could not be read from Key Vault",
    };

    private static string? SafeUrl(string? text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var url) && (url.Scheme == Uri.UriSchemeHttps || url.Scheme == Uri.UriSchemeHttp) ? url.AbsoluteUri : null;

    internal static string Ago(TimeSpan age) => $"{Age(age)} ago";

    internal static string Age(TimeSpan age) => age switch
    {
        { TotalSeconds: < 90 } => $"{Math.Max(0, (int)age.TotalSeconds)} s",
        { TotalMinutes: < 90 } => $"{(int)age.TotalMinutes} min",
        { TotalHours: < 36 } => $"{(int)age.TotalHours} h",
        _ => $"{(int)age.TotalDays} days",
    };

    private static string Time(DateTimeOffset at) => at.UtcDateTime.ToString("HH:mm:ss 'UTC,' d MMMM yyyy", CultureInfo.InvariantCulture);

    internal static string N(int number) => number.ToString("N0", CultureInfo.InvariantCulture);
}

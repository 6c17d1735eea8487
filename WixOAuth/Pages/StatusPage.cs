using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
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
    bool IsWixThrottled);

/// <summary>
/// The operators' page. Everything that came from Wix or from a customer is encoded where it is put in, and the script
/// only ever puts in what this class rendered.
/// </summary>
internal static class StatusPage
{
    private const string Style = """
        :root{color-scheme:light dark;--ink:#1c2430;--dim:#56606e;--ground:#f4f5f7;--card:#fff;--line:#d9dde3;--accent:#1a56db;--on-accent:#fff;--good:#176639;--good-bg:#e3f4e9;--warn:#7a4a00;--warn-bg:#fdf0d5;--bad:#a1260d;--bad-bg:#fde7e2;--bar:#3f6fd8;--bar-bad:#c4432b;--rest:#a9b2bf}
        @media (prefers-color-scheme:dark){:root{--ink:#e7eaee;--dim:#a3acb9;--ground:#12161c;--card:#1b212a;--line:#323b47;--accent:#8ab4f8;--on-accent:#10213d;--good:#8fdcaa;--good-bg:#12351f;--warn:#f3c97a;--warn-bg:#3a2c0c;--bad:#ffb3a3;--bad-bg:#43190f;--bar:#7ea6f4;--bar-bad:#f08a74;--rest:#5d6877}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
        header,main{max-width:70rem;margin:0 auto;padding:0 1.25rem}
        header{display:flex;flex-wrap:wrap;gap:.25rem 1.5rem;align-items:baseline;padding-top:1.5rem}
        h1{font-size:1.4rem;margin:0}h2{font-size:1.05rem;margin:0 0 .75rem}
        .dim{color:var(--dim);font-size:.9rem}
        .tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem;margin:1.25rem 0 .75rem;padding:0;list-style:none}
        .card,.tiles button{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1rem 1.25rem}
        .tiles button{width:100%;height:100%;text-align:left;display:grid;align-content:start}.tiles button:hover{border-color:var(--accent)}
        .tiles b{display:block;font-size:1.7rem;line-height:1.2;font-variant-numeric:tabular-nums}.tiles .warn b{color:var(--warn)}.tiles .bad b,dd.bad{color:var(--bad)}dd.bad{font-weight:600}
        .warning{background:var(--warn-bg);color:var(--warn);margin:1.25rem 0 0}
        .two{display:grid;grid-template-columns:repeat(auto-fit,minmax(18rem,1fr));gap:.75rem;margin-bottom:.75rem}
        svg{display:block;width:100%;height:auto}svg .ok{fill:var(--bar)}svg .bad{fill:var(--bar-bad)}svg .rest{fill:var(--line)}
        .k0{--k:var(--bar-bad)}.k1{--k:var(--rest)}.k2,.k3,.k4,.k5,.k6{--k:var(--bar)}.k2{opacity:.3}.k3{opacity:.45}.k4{opacity:.6}.k5{opacity:.8}
        svg [class^=k]{fill:var(--k)}dt i{display:inline-block;width:.7rem;height:.7rem;margin-right:.5rem;border-radius:.15rem;background:var(--k)}
        .ends{display:flex;justify-content:space-between;margin:.2rem 0 0}
        dl{display:grid;grid-template-columns:1fr auto;gap:.1rem 1rem;margin:.75rem 0 0;font-size:.9rem}dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}dt{color:var(--dim)}
        form{display:flex;flex-wrap:wrap;gap:.5rem;align-items:end}
        label{display:grid;gap:.2rem;font-size:.85rem;color:var(--dim)}
        input,select,button{font:inherit;color:inherit;background:var(--card);border:1px solid var(--dim);border-radius:.5rem;padding:.4rem .7rem}
        input,select{color:var(--ink);min-height:2.5rem}input{width:20rem;max-width:100%}button.main{min-height:2.5rem}
        button{cursor:pointer}button.main{background:var(--accent);color:var(--on-accent);border-color:var(--accent);font-weight:600}
        button[aria-disabled]{opacity:.5;cursor:default}
        :focus-visible{outline:3px solid var(--accent);outline-offset:2px}
        .list{list-style:none;margin:0;padding:0}
        .list>li{border-top:1px solid var(--line);padding:.8rem 0;display:grid;grid-template-columns:minmax(0,5fr) minmax(0,4fr) 22rem;gap:.4rem 1.25rem;align-items:start}
        .list h3{margin:0;font-size:1rem;overflow-wrap:anywhere}.list p{margin:.1rem 0;overflow-wrap:anywhere}
        .acts{display:flex;flex-wrap:wrap;gap:.4rem}li .acts{justify-content:end}#instances>.acts{margin:.5rem 0 0}.acts button{padding:.25rem .6rem;font-size:.9rem}
        .pill{display:inline-block;border-radius:1rem;padding:.05rem .6rem;font-size:.85rem;font-weight:600}
        .pill.active{background:var(--good-bg);color:var(--good)}.pill.reinstall_required{background:var(--bad-bg);color:var(--bad)}.pill.removed{background:var(--line);color:var(--ink)}.pill.failing{background:var(--warn-bg);color:var(--warn)}
        code{font-size:.85em;overflow-wrap:anywhere}a{color:var(--accent)}
        dialog{border:1px solid var(--line);border-radius:.75rem;background:var(--card);color:var(--ink);max-width:28rem;padding:1.5rem}dialog::backdrop{background:#0008}
        .sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
        #said{min-height:1.5rem;margin:.5rem 0}
        @media (max-width:60rem){.list>li{grid-template-columns:1fr 1fr}li .acts{grid-column:1/-1;justify-content:start}}
        @media (max-width:44rem){.list>li{grid-template-columns:1fr}label,input{width:100%}}
        """;

    // The key leaves the address bar before anything else happens, and lives in this page's memory only.
    private const string Script = """
        (() => {
          const asked = new URLSearchParams(location.search);
          const key = asked.get('code');
          history.replaceState(null, '', location.pathname);
          const view = new URLSearchParams();
          const said = document.getElementById('said');
          const call = (path, method) => fetch(path, {method, headers: {'x-functions-key': key}, cache: 'no-store', credentials: 'omit', redirect: 'error'});
          // A name is fenced off: one that runs backwards must not turn our own words around.
          const say = (name, text) => {
            const fence = document.createElement('bdi');
            fence.textContent = name;
            said.replaceChildren(fence, text);
          };
          let turn = 0, stale = false;
          async function show(recount) {
            const mine = ++turn;
            try {
              const answer = await call('status?' + view + (recount ? '&recount=yes' : ''), 'GET');
              if (!answer.ok) throw new Error(answer.status);
              const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
              if (mine !== turn || document.querySelector('dialog[open]')) return;
              const focus = document.activeElement && document.activeElement.id;
              for (const id of ['live', 'instances', 'at']) document.getElementById(id).replaceWith(document.adoptNode(page.getElementById(id)));
              if (focus && document.activeElement.id !== focus) (document.getElementById(focus) ?? document.getElementById('found')).focus();
              if (stale) say('', '');
              stale = false;
            } catch { if (mine === turn) { stale = true; say('', 'The page could not be brought up to date. It tries again.'); } }
          }
          const sure = document.getElementById('sure');
          const confirmed = name => new Promise(resolve => {
            document.getElementById('sure-name').textContent = name;
            sure.onclose = () => resolve(sure.returnValue === 'yes');
            sure.returnValue = '';
            sure.showModal();
          });
          const problems = {unknown_instance: 'it is not known', reinstall_required: 'its owner has to install the app again', app_removed: 'the app was removed', wix_unavailable: 'Wix gives no token at the moment', storage_unavailable: 'the storage is not available'};
          document.addEventListener('click', async event => {
            const button = event.target.closest('button');
            if (!button) return;
            if (button.dataset.close) { sure.close(button.dataset.close); return; }
            const {list, cursor} = button.dataset;
            if (list !== undefined) {
              document.getElementById('search').value = '';
              document.getElementById('status').value = list;
              view.delete('search');
              view.set('status', list);
            }
            if (list !== undefined || cursor !== undefined) {
              cursor ? view.set('cursor', cursor) : view.delete('cursor');
              await show();
              document.getElementById('found').focus();
              return;
            }
            const {act, id, name} = button.dataset;
            if (!act || button.ariaDisabled) return;
            if (act === 'forget' && !await confirmed(name)) return;
            const [path, method, done] = {refresh: ['/refresh', 'POST', 'has a new token'], setup: ['/setup', 'POST', 'is set up'], forget: ['', 'DELETE', 'is forgotten']}[act];
            // Not really disabled: it would lose the keyboard's focus.
            button.ariaDisabled = 'true';
            stale = false;
            say('', '');
            try {
              const answer = await call('instances/' + id + path, method);
              const code = answer.ok ? null : (await answer.json().catch(() => ({}))).code;
              say(name, answer.ok ? ' ' + done + '.' : ': ' + (problems[code] ?? 'that did not work') + '.');
            } catch { say(name, ': the service could not be reached.'); }
            button.ariaDisabled = null;
            await show(true);
          });
          document.addEventListener('submit', event => {
            event.preventDefault();
            for (const [name, value] of new FormData(event.target)) value ? view.set(name, value) : view.delete(name);
            view.delete('cursor');
            show();
          });
          setInterval(() => { if (!document.hidden) show(); }, 10000);
        })();
        """;

    /// <summary>The list of those that are active and had no luck at their last refresh.</summary>
    public const string Failing = "failing";

    /// <summary>What the page can list, by its words: all (no word), those of a status, those that fail.</summary>
    public static IReadOnlyList<string> Lists { get; } = ["", "active", Failing, "reinstall_required", "removed"];

    /// <summary>The style sheet's source for the page's policy.</summary>
    public static string StyleSource { get; } = $"sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(Style)))}";

    public static string Render(StatusModel model, string nonce) => $"""
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="robots" content="noindex">
        <title>WixOAuth status</title>
        <style>{Style}</style>
        </head>
        <body>
        <header><h1>WixOAuth status</h1>{At(model)}</header>
        <main>
        {Live(model)}
        <section class="card" aria-labelledby="found">
        <form role="search" aria-label="Instances">
        <label for="search">Site, customer, address or instance id<input id="search" name="search" type="search" maxlength="200" value="{E(model.Search)}" autocomplete="off"></label>
        <label for="status">Status<select id="status" name="status">{StatusOptions(model.List)}</select></label>
        <button class="main">Show</button>
        </form>
        <div id="said" role="status" aria-live="polite"></div>
        {Instances(model)}
        </section>
        <noscript><p class="dim">Without JavaScript this page shows how things stood when it was loaded, and can change nothing.</p></noscript>
        </main>
        <dialog id="sure" aria-labelledby="sure-title">
        <h2 id="sure-title">Forget <bdi id="sure-name"></bdi>?</h2>
        <p>Its tokens are erased at once. Only a new install by the site’s owner brings it back.</p>
        <div class="acts"><button type="button" data-close="yes" class="main">Forget it</button><button type="button" data-close="no">Keep it</button></div>
        </dialog>
        <script nonce="{nonce}">{Script}</script>
        </body>
        </html>
        """;

    private static string At(StatusModel model) =>
        $"""<p class="dim" id="at">as of {Time(model.Now)}</p>""";

    private static string Live(StatusModel model)
    {
        var overview = model.Overview;
        return $"""
            <div id="live">
            {(model.IsWixThrottled ? Throttled : "")}
            <ul class="tiles">
            {Tile("active", "active", overview.ByStatus[InstanceStatus.Active], "")}
            {Tile(Failing, "active, last refresh failed", overview.Failing, "warn")}
            {Tile("reinstall_required", "reinstall required", overview.ByStatus[InstanceStatus.ReinstallRequired], "bad")}
            {Tile("removed", "removed", overview.ByStatus[InstanceStatus.Removed], "")}
            </ul>
            {(overview.IsPartial ? $"""<p class="dim">Counted are the first {N(InstanceOverview.Limit)} instances.</p>""" : "")}
            <div class="two">
            <section class="card" aria-labelledby="life"><h2 id="life">How long the active sites’ tokens live</h2>{Life(overview)}</section>
            <section class="card" aria-labelledby="hour"><h2 id="hour">Refreshes in the last hour</h2>{Hour(model.History)}</section>
            </div>
            </div>
            """;
    }

    private const string Throttled = """
        <p class="card warning" id="wix-throttled"><b>Wix throttles this process or does not answer it.</b> Refreshes pause; tokens are served while
        they live. One call each 10 seconds finds out when Wix is back. Nothing is to be done unless it lasts: see “Wix is down” in the runbook.</p>
        """;

    private static string Tile(string list, string words, int count, string trouble) =>
        $"""<li><button type="button" id="tile-{list}" data-list="{list}"{(count > 0 && trouble.Length > 0 ? $" class=\"{trouble}\"" : "")}><b>{N(count)}</b>{words}</button></li>""";

    private static string Life(Overview overview)
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
        var (bars, words) = (new StringBuilder(), new StringBuilder());
        var x = 0.0;
        for (var i = 0; i < parts.Length; i++)
        {
            var width = 600.0 * parts[i].Count / total;
            bars.Append(CultureInfo.InvariantCulture, $"""<rect class="k{i}" x="{x:F1}" y="0" width="{width:F1}" height="28"/>""");
            words.Append(CultureInfo.InvariantCulture, $"""<dt><i class="k{i}"></i>{parts[i].Words}</dt><dd{(i == 0 && parts[i].Count > 0 ? " class=\"bad\"" : "")}>{N(parts[i].Count)}</dd>""");
            x += width;
        }

        return $"""
            <svg viewBox="0 0 600 28" aria-hidden="true"><rect class="rest" x="0" y="0" width="600" height="28"/>{bars}</svg>
            <dl>{words}</dl>
            """;
    }

    private static string Hour(IReadOnlyList<RefreshCount> history)
    {
        var most = Math.Max(1, history.Max(count => count.Succeeded + count.Failed));
        var bars = new StringBuilder();
        for (var i = 0; i < history.Count; i++)
        {
            var (good, bad) = (80.0 * history[i].Succeeded / most, 80.0 * history[i].Failed / most);
            bars.Append(CultureInfo.InvariantCulture, $"""<rect class="rest" x="{i * 50}" y="79" width="44" height="1"/><rect class="ok" x="{i * 50}" y="{80 - good:F1}" width="44" height="{good:F1}"/><rect class="bad" x="{i * 50}" y="{80 - good - bad:F1}" width="44" height="{bad:F1}"/>""");
        }

        return $"""
            <svg viewBox="0 0 600 80" aria-hidden="true">{bars}</svg>
            <p class="dim ends" aria-hidden="true"><span>an hour ago</span><span>now</span></p>
            <dl><dt>brought a token</dt><dd>{N(history.Sum(count => count.Succeeded))}</dd><dt>failed</dt><dd>{N(history.Sum(count => count.Failed))}</dd></dl>
            """;
    }

    private static string StatusOptions(string? chosen) => string.Concat(Lists.Select(list =>
        $"""<option value="{list}"{(list == (chosen ?? "") ? " selected" : "")}>{(list.Length == 0 ? "all" : list.Replace('_', ' '))}</option>"""));

    private static string Instances(StatusModel model)
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
        return $"""
            <div id="instances">
            <h2 id="found" tabindex="-1">{title}</h2>
            <ul class="list">{string.Concat(model.Instances.Select(instance => Row(instance, model)))}</ul>
            <p class="acts">
            {(model.Cursor is null ? "" : """<button type="button" id="first" data-cursor="">Back to the beginning</button>""")}
            {(model.Next is null ? "" : $"""<button type="button" id="next" data-cursor="{E(model.Next)}">{(string.IsNullOrEmpty(model.Search) ? "Next page" : "Search on")}</button>""")}
            </p>
            </div>
            """;
    }

    private static string Row(Instance instance, StatusModel model)
    {
        var name = string.IsNullOrWhiteSpace(instance.Site?.Name) ? "Site without a name" : instance.Site.Name;
        var link = SafeUrl(instance.Site?.Url) is { } url
            ? $"""<a href="{E(url)}" target="_blank" rel="noopener noreferrer nofollow">{E(name)}</a>"""
            : E(name);
        return $"""
            <li>
            <div><h3>{link}</h3><p class="dim"><code>{instance.Id}</code></p>{(instance.Customer is { } customer ? $"""<p class="dim">Customer: {E(customer)}</p>""" : "")}</div>
            <div><p><span class="pill {Words.Of(instance.Status)}">{Words.Of(instance.Status).Replace('_', ' ')}</span>{(instance.IsFailing ? """ <span class="pill failing">failing</span>""" : "")}</p>{Story(instance, model)}</div>
            <div class="acts">{Actions(instance, E(name), model.SendsSetup)}</div>
            </li>
            """;
    }

    private static string Story(Instance instance, StatusModel model)
    {
        var now = model.Now;
        var story = new StringBuilder();
        if (instance.RefreshedAt is { } refreshedAt)
        {
            story.Append(CultureInfo.InvariantCulture, $"""<p class="dim">Last refresh {Ago(now - refreshedAt)}</p>""");
        }

        if (instance.Failures is { } failures)
        {
            story.Append(CultureInfo.InvariantCulture, $"<p>{Plain(failures.LastError)} ({Ago(now - failures.LastAt)}{(failures.Count > 1 ? $", {N(failures.Count)} in a row" : "")})</p>");
        }

        if (instance.RemovedAt is { } removedAt && instance.Status == InstanceStatus.Removed)
        {
            story.Append(CultureInfo.InvariantCulture, $"""<p class="dim">{(instance.Forgotten ? "Forgotten" : "Removed")} {Ago(now - removedAt)}</p>""");
        }
        else if (model.SendsSetup && instance.SetupCompletedAt is null)
        {
            story.Append("""<p class="dim">Set-up not completed at Wix</p>""");
        }

        return story.ToString();
    }

    private static string Actions(Instance instance, string name, bool sendsSetup)
    {
        if (instance.Status == InstanceStatus.Removed)
        {
            return "";
        }

        var id = instance.Id;
        return $"""<button type="button" id="refresh-{id}" data-act="refresh" data-id="{id}" data-name="{name}">Refresh now<span class="sr"> {name}</span></button>"""
            + (sendsSetup && instance.SetupCompletedAt is null
                ? $"""<button type="button" id="setup-{id}" data-act="setup" data-id="{id}" data-name="{name}">Complete set-up<span class="sr"> of {name}</span></button>"""
                : "")
            + $"""<button type="button" id="forget-{id}" data-act="forget" data-id="{id}" data-name="{name}">Forget…<span class="sr"> {name}</span></button>""";
    }

    private static string Plain(TokenError error) => error switch
    {
        TokenError.Rejected => "Wix does not accept its refresh token",
        TokenError.WixUnavailable => "Wix could not be reached",
        TokenError.UnexpectedAnswer => "Wix answered something that makes no sense",
        TokenError.Undecryptable => "Its stored tokens cannot be decrypted: the protection key is missing",
        _ => "The app secret could not be read from Key Vault",
    };

    private static string? SafeUrl(string? text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var url) && (url.Scheme == Uri.UriSchemeHttps || url.Scheme == Uri.UriSchemeHttp) ? url.AbsoluteUri : null;

    private static string Ago(TimeSpan age) => age switch
    {
        { TotalSeconds: < 90 } => $"{Math.Max(0, (int)age.TotalSeconds)} s ago",
        { TotalMinutes: < 90 } => $"{(int)age.TotalMinutes} min ago",
        { TotalHours: < 36 } => $"{(int)age.TotalHours} h ago",
        _ => $"{(int)age.TotalDays} days ago",
    };

    private static string Time(DateTimeOffset at) => at.UtcDateTime.ToString("HH:mm:ss 'UTC,' d MMMM yyyy", CultureInfo.InvariantCulture);

    private static string N(int number) => number.ToString("N0", CultureInfo.InvariantCulture);

    private static string E(string? text) => HtmlEncoder.Default.Encode(text ?? "");
}

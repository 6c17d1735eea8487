using System.Security.Cryptography;
using System.Text;

namespace WixOAuth.PretendWix;

/// <summary>The one style sheet, inside every page, and the policy that allows it and nothing else.</summary>
internal static class PageStyle
{
    public const string Sheet = """
        :root{color-scheme:light dark;--bg:#f6f5f1;--surface:#fff;--ink:#1c2028;--muted:#59606d;--line:#e1dfd8;--accent:#2a56c6;--accent-ink:#fff;
        --accent-soft:#e9effc;--ok:#14653a;--ok-soft:#e1f2e7;--warn:#7d4b00;--warn-soft:#fbedd3;--bad:#a3242b;--bad-soft:#fae5e4;--off-soft:#eceae4;
        --band:#2b2a33;--band-ink:#f4f2ec;--shadow:0 1px 2px rgb(28 32 40/.06),0 6px 20px rgb(28 32 40/.05)}
        @media (prefers-color-scheme:dark){:root{--bg:#14161a;--surface:#1d2026;--ink:#eceef2;--muted:#a6adba;--line:#33373f;--accent:#93b4ff;
        --accent-ink:#0c1733;--accent-soft:#202c47;--ok:#90dcab;--ok-soft:#18341f;--warn:#f3c678;--warn-soft:#3a2c12;--bad:#ffb0ac;--bad-soft:#43201f;
        --off-soft:#2b2f36;--band:#2c2f38;--band-ink:#eceef2;--shadow:none}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--bg);color:var(--ink);font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
        overflow-wrap:anywhere}
        .band{background:var(--band);color:var(--band-ink);border-bottom:3px dashed #e0a83b;font-size:.875rem}
        .band p{margin:0 auto;max-width:46rem;padding:.6rem 1.25rem;display:flex;flex-wrap:wrap;gap:.15rem .75rem;align-items:baseline}
        .band strong{font-size:1rem;letter-spacing:-.01em}
        .band a{color:inherit;text-decoration:none}
        .band a:hover{text-decoration:underline}
        main{max-width:46rem;margin:0 auto;padding:2.25rem 1.25rem 3.5rem}
        main.narrow{max-width:31rem}
        h1{font-size:1.65rem;line-height:1.2;letter-spacing:-.02em;margin:0 0 .5rem;text-wrap:balance}
        h2{font-size:1.05rem;letter-spacing:-.01em;margin:2.5rem 0 .75rem}
        p{margin:.5rem 0}
        .lede,.muted{color:var(--muted)}
        .lede{max-width:38rem}
        a{color:var(--accent);text-underline-offset:.2em}
        ul{list-style:none;margin:0;padding:0}
        .card{background:var(--surface);border:1px solid var(--line);border-radius:14px;padding:1.1rem 1.25rem;box-shadow:var(--shadow)}
        .card h1{margin-top:.15rem}
        main.narrow .card{padding:1.75rem}
        .sites{display:grid;gap:.75rem;margin-top:1.5rem}
        .site{display:grid;grid-template-columns:auto 1fr auto;gap:.25rem .9rem;align-items:center}
        .site h2{margin:0;font-size:1.05rem;line-height:1.3}
        .site .muted{font-size:.875rem;margin:0}
        .site .actions{grid-column:2/-1;margin-top:.6rem}
        .face{width:2.6rem;height:2.6rem;border-radius:11px;display:grid;place-items:center;background:var(--accent-soft);color:var(--accent);
        font-weight:650;font-size:1.1rem}
        .pill{display:inline-block;white-space:nowrap;border-radius:99px;padding:.12rem .7rem;font-size:.8125rem;font-weight:600;
        background:var(--off-soft);color:var(--muted)}
        .ok{background:var(--ok-soft);color:var(--ok)}
        .warn{background:var(--warn-soft);color:var(--warn)}
        .bad{background:var(--bad-soft);color:var(--bad)}
        .actions{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center}
        form{margin:0}
        button,.button{display:inline-flex;align-items:center;min-height:2.5rem;padding:.35rem 1rem;border-radius:10px;border:1px solid var(--line);
        background:var(--surface);color:var(--ink);font:inherit;font-size:.9375rem;font-weight:560;text-decoration:none;cursor:pointer}
        button:hover,.button:hover{border-color:var(--muted)}
        .primary{background:var(--accent);border-color:var(--accent);color:var(--accent-ink)}
        .primary:hover{filter:brightness(1.08);border-color:var(--accent)}
        .plain{border-color:transparent;background:none;color:var(--accent);padding-inline:.6rem}
        :focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:6px}
        button:focus-visible,.button:focus-visible,input:focus-visible{border-radius:10px}
        label{display:block;font-weight:560;font-size:.9375rem;margin-bottom:.3rem}
        input[type=text]{flex:1 1 12rem;min-width:0;min-height:2.5rem;padding:.35rem .8rem;border-radius:10px;border:1px solid var(--muted);
        background:var(--surface);color:var(--ink);font:inherit}
        .asks{margin:1rem 0 1.25rem;border-block:1px solid var(--line);padding:.9rem 0;display:grid;gap:.45rem}
        .asks li{display:grid;grid-template-columns:1.4rem 1fr}
        .asks li::before{content:"✓" / "";color:var(--ok);font-weight:700}
        dl{display:grid;grid-template-columns:auto 1fr;gap:.3rem 1.25rem;margin:1.1rem 0}
        dt{color:var(--muted)}
        dd{margin:0;font-weight:560}
        .mark{width:3rem;height:3rem;border-radius:50%;display:grid;place-items:center;margin-bottom:1rem;font-size:1.5rem;font-weight:700}
        .note{border-radius:12px;padding:.8rem 1rem;margin:1.25rem 0 0}
        table{width:100%;border-collapse:collapse;font-size:.9rem}
        th{text-align:left;color:var(--muted);font-weight:560;font-size:.8125rem;white-space:nowrap}
        th,td{padding:.5rem .75rem .5rem 0;border-bottom:1px solid var(--line);vertical-align:top}
        tbody tr:last-child td{border-bottom:0}
        th:last-child,td:last-child{padding-right:0}
        .decide{margin-top:1.1rem}
        .back{margin:1.25rem 0 0}
        td time,td.number{font-variant-numeric:tabular-nums}
        td time{color:var(--muted);white-space:nowrap}
        .choices{display:grid;gap:.5rem;margin:1.25rem 0 0}
        .choices a{display:flex;align-items:center;gap:.9rem;padding:.6rem .75rem;border:1px solid var(--line);border-radius:12px;color:inherit;text-decoration:none;
        font-weight:560}
        .choices a:hover{border-color:var(--accent)}
        .choices .face{width:2.2rem;height:2.2rem;flex:none;font-size:1rem}
        .stage{width:100%;height:34rem;border:1px solid var(--line);border-radius:14px;background:var(--surface);margin:1.25rem 0}
        footer{max-width:46rem;margin:0 auto;padding:0 1.25rem 2rem;color:var(--muted);font-size:.875rem}
        @media (max-width:34rem){main{padding-top:1.5rem}.site{grid-template-columns:auto 1fr}.site .pill{grid-column:2;justify-self:start}
        .site .actions{grid-column:1/-1}main.narrow .card{padding:1.25rem}.wide{display:none}.decide>*{flex:1 1 100%;justify-content:center}}
        @media (prefers-reduced-motion:no-preference){button,.button,.choices a{transition:border-color .12s,filter .12s}}
        """;

    public static readonly string Policy =
        $"default-src 'none'; style-src 'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(Sheet)))}'; "
        + "img-src data:; frame-src http: https:; base-uri 'none'";
}

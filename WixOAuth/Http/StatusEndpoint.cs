using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Pages;
using WixOAuth.Settings;
using WixOAuth.Tokens;

namespace WixOAuth.Http;

/// <summary>The operators' page as HTTP. Nothing is ever thrown to the host.</summary>
public sealed class StatusEndpoint(
    IInstanceStore store,
    InstanceOverview overview,
    RefreshHistory history,
    ServiceSettings settings,
    TimeProvider time,
    ILogger<StatusEndpoint> logger)
{
    private const int PageSize = 25;

    /// <summary>How many instances one search looks at before it asks whether to go on.</summary>
    private const int SearchedAtOnce = 2_000;

    /// <summary><c>GET /api/status</c>: see the contract's <c>Status</c>.</summary>
    public Task<IResult> Status(HttpRequest request, CancellationToken cancellationToken) => logger.GuardAsync(async () =>
    {
        if (!Parameters.TryRead(request, ["status", "search", "cursor"], out var values))
        {
            return Problems.InvalidRequest("status, search and cursor should come once each at most.");
        }

        var status = values[0] is { } word ? Words.Parse<InstanceStatus>(word) : null;
        var after = default(InstanceId);
        if ((status is null && values[0] is not null) || (values[2] is { } cursor && !ListCursor.TryRead(cursor, status, out after)))
        {
            return Problems.InvalidRequest("status and cursor should be ones that this page made.");
        }

        var search = values[1] is { Length: <= 200 } text ? text.Trim() : null;
        var (instances, last) = await FindAsync(status, search, values[2] is null ? null : after, cancellationToken);
        var nonce = Convert.ToBase64String(RandomNumberGenerator.GetBytes(16));
        var html = StatusPage.Render(
            new StatusModel(
                time.GetUtcNow(),
                await overview.GetAsync(cancellationToken),
                history.Read(),
                instances,
                status,
                search,
                values[2],
                last is { } end ? ListCursor.Write(status, end) : null,
                settings.Wix.SetupCompletion != SetupCompletion.Never),
            nonce);
        return new OperatorsPage(html, nonce);
    });

    private async Task<(IReadOnlyList<Instance> Instances, InstanceId? Last)> FindAsync(
        InstanceStatus? status, string? search, InstanceId? after, CancellationToken cancellationToken)
    {
        if (string.IsNullOrEmpty(search))
        {
            var page = await store.ListAsync(status, after, PageSize, cancellationToken);
            return (page.Instances, page.Last);
        }

        if (InstanceId.TryParse(search, out var id))
        {
            var stored = await store.FindAsync(id, cancellationToken);
            return (stored is not null && (status is null || stored.Instance.Status == status) ? [stored.Instance] : [], null);
        }

        // Tables have no index of names, so a search walks the list; it stops at times to say how far it came.
        List<Instance> found = [];
        for (var looked = 0; looked < SearchedAtOnce && found.Count < PageSize; looked += IInstanceStore.MaxPage)
        {
            var page = await store.ListAsync(status, after, IInstanceStore.MaxPage, cancellationToken);
            found.AddRange(page.Instances.Where(instance => Matches(instance, search)));
            if ((after = page.Last) is null)
            {
                break;
            }
        }

        return (found, after);
    }

    private static bool Matches(Instance instance, string search) =>
        Has(instance.Site?.Name, search) || Has(instance.Customer, search) || Has(instance.Site?.Url, search) || Has(instance.Id.ToString(), search);

    private static bool Has(string? text, string search) => text?.Contains(search, StringComparison.OrdinalIgnoreCase) == true;
}

/// <summary>A page for operators: never framed, alone in its window, with one script of its own.</summary>
internal sealed class OperatorsPage(string html, string nonce) : Answer(200)
{
    protected override Task WriteAsync(HttpResponse response)
    {
        response.Headers.ContentSecurityPolicy =
            $"default-src 'none'; style-src '{StatusPage.StyleSource}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
            + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
        response.Headers.XFrameOptions = "DENY";
        response.Headers["Cross-Origin-Opener-Policy"] = "same-origin";
        return WriteAsync(response, "text/html; charset=utf-8", Encoding.UTF8.GetBytes(html));
    }
}

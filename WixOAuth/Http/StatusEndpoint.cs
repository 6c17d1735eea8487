using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using RazorSlices;
using WixOAuth.Events;
using WixOAuth.Instances;
using WixOAuth.Pages;
using WixOAuth.Settings;
using WixOAuth.Tokens;

namespace WixOAuth.Http;

internal sealed class StatusEndpoint(
    IInstanceStore store,
    InstanceOverview overview,
    RefreshHistory history,
    EventOverview events,
    ServiceTroubles troubles,
    HealthChecks health,
    ServiceSettings settings,
    TimeProvider time,

    // Nine: four parts of the page, the two checks of the service, the settings, the clock and the log.
    ILogger<StatusEndpoint> logger)
{
    private const int PageSize = 25;

    /// <summary>How many instances one search looks at before it asks whether to go on.</summary>
    private const int SearchedAtOnce = 5_000;

    private const int ReadsAtOnce = 25;

    private const string KeyInAddress = "A key does not belong in an address: send it in the header x-functions-key.";

    public Task<IResult> Status(HttpRequest request) => logger.GuardUnexpectedAsync(async () =>
    {
        if (!HasKeyInAddress(request))
        {
            return new OperatorsPage(await new StatusShell().RenderAsync(), StatusPage.ContentSecurityPolicy);
        }

        return request.Headers.Accept.ToString().Contains("text/html", StringComparison.OrdinalIgnoreCase)
            ? new OperatorsPage(
                await Page.RenderAsync("Do not put the key in the address", new KeyInAddressPage()),
                $"{Page.ContentSecurityPolicy}; frame-ancestors 'none'",
                StatusCodes.Status400BadRequest)
            : Problems.InvalidRequest(KeyInAddress);
    });

    public Task<IResult> StatusView(HttpRequest request, CancellationToken cancellationToken) => logger.GuardAsync(async () =>
    {
        if (HasKeyInAddress(request))
        {
            return Problems.InvalidRequest(KeyInAddress);
        }

        if (!Parameters.TryReadAll(request, ["status", "search", "cursor", "recount"], out var values, out var refusal))
        {
            return refusal;
        }

        if (!StatusPage.Lists.Contains(values["status"] ?? "") || !ListCursor.TryRead(values["cursor"], values["status"], out var after))
        {
            return Problems.InvalidRequest("status and cursor should be ones that this page made.");
        }

        var search = values["search"]?.Trim();
        var forceRefresh = values["recount"] is not null;
        var seen = await overview.GetAsync(forceRefresh, cancellationToken);
        var (instances, last) = await FindAsync(values["status"], seen, search, after, cancellationToken);
        var (now, sendsSetup) = (time.GetUtcNow(), settings.Wix.SetupCompletion != SetupCompletion.Never);
        var stored = await events.GetAsync(forceRefresh, cancellationToken);
        var model = new StatusModel(
            now,
            await FindTroublesAsync(stored, cancellationToken),
            seen,
            HourChart.Of(await history.ReadAsync(cancellationToken)),
            stored,
            settings.Events.Url is not null,
            InstancesFound.Of(
                [.. instances.Select(instance => InstanceItem.Of(instance, now, sendsSetup))],
                search,
                values["cursor"],
                last is { } end ? ListCursor.Write(values["status"], end) : null));
        return new OperatorsPage(await new StatusView { Model = model }.RenderAsync(), StatusPage.ContentSecurityPolicy);
    });

    // Parked events are taken from the count: health may be a minute old, and the button should show its effect at once.
    private async Task<IReadOnlyList<string>> FindTroublesAsync(StoredEvents? stored, CancellationToken cancellationToken) =>
    [
        .. (await health.FindAsync(cancellationToken)).Secrets == HealthChecks.Healthy ? Array.Empty<string>() : ["secrets"],
        .. (await troubles.FindAsync(cancellationToken)).Where(trouble => trouble != "events_parked"),
        .. stored is { Parked: > 0 } ? ["events_parked"] : Array.Empty<string>(),
    ];

    private static bool HasKeyInAddress(HttpRequest request) => request.Query.ContainsKey("code");

    private async Task<(IReadOnlyList<Instance> Instances, InstanceId? Last)> FindAsync(
        string? list, Overview seen, string? search, InstanceId? after, CancellationToken cancellationToken)
    {
        var status = list is null ? null : SnakeCaseEnum.Parse<InstanceStatus>(list);
        if (string.IsNullOrEmpty(search))
        {
            var page = await ReadPageAsync(PageSize);
            return (page.Instances, page.Last);
        }

        if (InstanceId.TryParse(search, out var id))
        {
            return (await store.FindReadableAsync(id, cancellationToken) is { } instance && IsListed(instance) ? [instance] : [], null);
        }

        // Tables have no index of names, so a search scans the list. It stops after 5,000 instances and offers to continue.
        List<Instance> found = [];
        for (var looked = 0; looked < SearchedAtOnce && found.Count < PageSize; looked += IInstanceStore.MaxPage)
        {
            var page = await ReadPageAsync(IInstanceStore.MaxPage);
            found.AddRange(page.Instances.Where(instance => Matches(instance, search)));
            if ((after = page.Last) is null)
            {
                break;
            }
        }

        // Matches beyond this page are found again: the next search starts after the last instance of this page.
        return found.Count > PageSize ? (found[..PageSize], found[PageSize - 1].Id) : (found, after);

        bool IsListed(Instance instance) => list == StatusPage.Failing ? instance.IsFailing : status is null || instance.Status == status;

        Task<InstancePage> ReadPageAsync(int limit) => list == StatusPage.Failing
            ? ListFailingAsync(seen.FailingIds, after, limit, cancellationToken)
            : store.ListAsync(status, after, limit, cancellationToken);
    }

    /// <summary>The instances that failed at the last count and still fail. The table has no index of them.</summary>
    private async Task<InstancePage> ListFailingAsync(
        IReadOnlyList<InstanceId> failing, InstanceId? after, int limit, CancellationToken cancellationToken)
    {
        var rest = failing.SkipWhile(id => after is { } last && string.CompareOrdinal(id.ToString(), last.ToString()) <= 0).ToList();
        List<Instance> found = [];
        foreach (var ids in rest.Take(limit).Chunk(ReadsAtOnce))
        {
            found.AddRange((await Task.WhenAll(ids.Select(id => store.FindReadableAsync(id, cancellationToken)))).OfType<Instance>().Where(instance => instance.IsFailing));
        }

        return new InstancePage(found, rest.Count > limit ? rest[limit - 1] : null);
    }

    private static bool Matches(Instance instance, string search) =>
        Has(instance.Site?.Name, search) || Has(instance.Customer, search) || Has(instance.Site?.Url, search) || Has(instance.Id.ToString(), search);

    private static bool Has(string? text, string search) => text?.Contains(search, StringComparison.OrdinalIgnoreCase) == true;
}

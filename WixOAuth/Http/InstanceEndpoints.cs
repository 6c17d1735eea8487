using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Lifecycle;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Http;

internal sealed class InstanceEndpoints(IInstanceStore store, InstanceLifecycle life, SetupCompleter setup, ILogger<InstanceEndpoints> logger)
{
    private const int DefaultPage = 50;

    public Task<IResult> GetInstance(HttpRequest request, string instanceId, CancellationToken cancellationToken) =>
        logger.GuardInstanceAsync(request, instanceId, async id => await store.FindAsync(id, cancellationToken) is { } stored
            ? new JsonAnswer<InstanceBody>(BodyOf(stored.Instance), Json.Default.InstanceBody)
            : Problems.UnknownInstance());

    public Task<IResult> ListInstances(HttpRequest request, CancellationToken cancellationToken) => logger.GuardAsync(async () =>
    {
        if (!Parameters.TryReadAll(request, ["status", "limit", "cursor", "customer"], out var values, out var refusal))
        {
            return refusal;
        }

        var status = values["status"] is { } word ? SnakeCaseEnum.Parse<InstanceStatus>(word) : null;
        if (status is null && values["status"] is not null)
        {
            return Problems.InvalidRequest("status should be active, reinstall_required or removed.");
        }

        var limit = DefaultPage;
        if (values["limit"] is { } number
            && !(int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out limit) && limit is >= 1 and <= IInstanceStore.MaxPage))
        {
            return Problems.InvalidRequest($"limit should be a whole number from 1 to {IInstanceStore.MaxPage}.");
        }

        // Also an empty one: a caller who has no customer at hand must not see everybody's sites.
        var customer = values["customer"];
        if (request.Query.ContainsKey("customer") && !CustomerEndpoints.IsName(customer ?? ""))
        {
            return Problems.InvalidRequest(
                $"customer should have 1 to {CustomerEndpoints.MaxNameLength} characters, none of them a control character and at least one that can be seen.");
        }

        // The name of the list in its cursors. Without a customer it is the same as in earlier versions.
        var list = customer is null ? values["status"] : $"{values["status"]} of {customer}";
        if (!ListCursor.TryRead(values["cursor"], list, out var after))
        {
            return Problems.InvalidRequest("cursor should be one that was answered for the same status and customer.");
        }

        var page = await store.ListAsync(status, after, limit, cancellationToken, customer);
        return new JsonAnswer<InstanceListBody>(
            new InstanceListBody([.. page.Instances.Select(BodyOf)], page.Last is { } end ? ListCursor.Write(list, end) : null),
            Json.Default.InstanceListBody);
    });

    public Task<IResult> ForgetInstance(HttpRequest request, string instanceId, CancellationToken cancellationToken) =>
        logger.GuardInstanceAsync(request, instanceId, async id =>
        {
            await life.ForgetAsync(id, cancellationToken);
            return new EmptyAnswer(StatusCodes.Status204NoContent);
        });

    public Task<IResult> CompleteSetup(HttpRequest request, string instanceId, CancellationToken cancellationToken) =>
        logger.GuardInstanceAsync(request, instanceId, async id => await setup.CompleteAsync(id, cancellationToken) switch
        {
            (TokenResult.Token, WixResponseKind.Success) => new EmptyAnswer(StatusCodes.Status204NoContent),
            (TokenResult.Token, _) => Problems.WixUnavailable(TimeSpan.FromMinutes(1)),
            var (result, _) => Problems.Of(result),
        });

    private static InstanceBody BodyOf(Instance instance) => new(
        instance.Id.ToString(),
        SnakeCaseEnum.Of(instance.Status),
        instance.SetupCompletedAt,
        SnakeCaseEnum.Of(instance.CurrentGrant),
        SnakeCaseEnum.Of(instance.RefreshTokenState),
        instance.RefreshTokenFault?.Since,
        instance.Customer,
        instance.Site is { } site ? new SiteBody(site.Id, site.Name, site.Url) : null,
        instance.AppVersion,
        instance.InstalledAt,
        instance.UpdatedAt,
        new TokenStateBody(
            instance.AccessTokenExpiresOn,
            instance.RefreshedAt,
            instance.Generation,
            instance.Failures?.Count ?? 0,
            instance.Failures is { } failures ? SnakeCaseEnum.Of(failures.LastError) : null));
}

using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Settings;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Http;

/// <summary>Installations as HTTP, for our own apps and operators. Nothing is ever thrown to the host.</summary>
public sealed class InstanceEndpoints(
    IInstanceStore store, InstanceLife life, SetupCompleter setup, InstallStateService tickets, ServiceSettings settings, ILogger<InstanceEndpoints> logger)
{
    private const int MaxLinkRequest = 4_096;
    private const int DefaultPage = 50;

    /// <summary><c>GET /api/instances/{instanceId}</c>: see the contract's <c>GetInstance</c>.</summary>
    public Task<IResult> GetInstance(string instanceId, CancellationToken cancellationToken) => logger.GuardAsync(async () =>
    {
        if (!InstanceId.TryParse(instanceId, out var id))
        {
            return Problems.InvalidRequest("The instance id should be a GUID as Wix writes it.");
        }

        return await store.FindAsync(id, cancellationToken) is { } stored
            ? new JsonAnswer<InstanceBody>(200, BodyOf(stored.Instance), Json.Default.InstanceBody)
            : Problems.UnknownInstance();
    });

    /// <summary><c>GET /api/instances</c>: see the contract's <c>ListInstances</c>.</summary>
    public Task<IResult> ListInstances(HttpRequest request, CancellationToken cancellationToken) => logger.GuardAsync(async () =>
    {
        if (!Parameters.TryRead(request, ["status", "limit", "cursor"], out var values))
        {
            return Problems.InvalidRequest("status, limit and cursor should come once each at most.");
        }

        var status = values[0] is { } word ? Words.Parse<InstanceStatus>(word) : null;
        if (status is null && values[0] is not null)
        {
            return Problems.InvalidRequest("status should be active, reinstall_required or removed.");
        }

        var limit = DefaultPage;
        if (values[1] is { } number
            && !(int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out limit) && limit is >= 1 and <= IInstanceStore.MaxPage))
        {
            return Problems.InvalidRequest($"limit should be a whole number from 1 to {IInstanceStore.MaxPage}.");
        }

        var last = default(InstanceId);
        if (values[2] is { } cursor && !ListCursor.TryRead(cursor, values[0], out last))
        {
            return Problems.InvalidRequest("cursor should be one that was answered for the same status.");
        }

        var page = await store.ListAsync(status, values[2] is null ? null : last, limit, cancellationToken);
        return new JsonAnswer<InstanceListBody>(
            200,
            new InstanceListBody([.. page.Instances.Select(BodyOf)], page.Last is { } end ? ListCursor.Write(values[0], end) : null),
            Json.Default.InstanceListBody);
    });

    /// <summary><c>DELETE /api/instances/{instanceId}</c>: see the contract's <c>ForgetInstance</c>.</summary>
    public Task<IResult> ForgetInstance(string instanceId, CancellationToken cancellationToken) => logger.GuardAsync(async () =>
    {
        if (!InstanceId.TryParse(instanceId, out var id))
        {
            return Problems.InvalidRequest("The instance id should be a GUID as Wix writes it.");
        }

        await life.ForgetAsync(id, cancellationToken);
        return new EmptyAnswer(StatusCodes.Status204NoContent);
    });

    /// <summary><c>POST /api/instances/{instanceId}/setup</c>: see the contract's <c>CompleteSetup</c>.</summary>
    public Task<IResult> CompleteSetup(string instanceId, CancellationToken cancellationToken) => logger.GuardAsync(async () =>
    {
        if (!InstanceId.TryParse(instanceId, out var id))
        {
            return Problems.InvalidRequest("The instance id should be a GUID as Wix writes it.");
        }

        return await setup.CompleteAsync(id, cancellationToken) switch
        {
            (TokenResult.Token, Delivery.Accepted) => new EmptyAnswer(StatusCodes.Status204NoContent),
            (TokenResult.Token, _) => Problems.WixUnavailable(TimeSpan.FromMinutes(1)),
            var (result, _) => Problems.Of(result),
        };
    });

    /// <summary><c>POST /api/install-links</c>: see the contract's <c>CreateInstallLink</c>.</summary>
    public Task<IResult> CreateInstallLink(HttpRequest request, CancellationToken cancellationToken) => logger.GuardAsync(async () =>
    {
        if (await ReadCustomerAsync(request, cancellationToken) is not { } customer)
        {
            return Problems.InvalidRequest($"The body should be JSON with a customer of 1 to {InstallStateService.MaxCustomerLength} characters.");
        }

        var (start, expiresOn) = await tickets.IssueLinkAsync(customer, cancellationToken);

        // App URL and Redirect URL are neighbours; the Host header of a request is anybody's word.
        var url = new Uri(settings.Wix.RedirectUrl, $"install?start={start}");
        return new JsonAnswer<LinkBody>(201, new LinkBody(url.AbsoluteUri, expiresOn), Json.Default.LinkBody);
    });

    private static async Task<string?> ReadCustomerAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var buffer = new byte[MaxLinkRequest + 1];
        try
        {
            var length = await request.Body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken);
            if (length > MaxLinkRequest)
            {
                return null;
            }

            var customer = JsonSerializer.Deserialize(buffer.AsSpan(0, length), Json.Default.LinkRequestBody)?.Customer;
            return customer is { Length: > 0 and <= InstallStateService.MaxCustomerLength }
                && !customer.Any(char.IsControl)
                && !string.IsNullOrWhiteSpace(customer)
                    ? customer
                    : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or IOException)
        {
            // The last one: a body that breaks off or breaks HTTP's rules.
            return null;
        }
    }

    private static InstanceBody BodyOf(Instance instance) => new(
        instance.Id.ToString(),
        Words.Of(instance.Status),
        instance.SetupCompletedAt,
        Words.Of(instance.CurrentGrant),
        Words.Of(instance.RefreshTokenState),
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
            instance.Failures is { } failures ? Words.Of(failures.LastError) : null));
}

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
    IInstanceStore store, SetupCompleter setup, InstallTickets tickets, ServiceSettings settings, ILogger<InstanceEndpoints> logger)
{
    private const int MaxLinkRequest = 4_096;

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
            return Problems.InvalidRequest($"The body should be JSON with a customer of 1 to {InstallTickets.MaxCustomerLength} characters.");
        }

        var (start, expiresOn) = await tickets.IssueLinkAsync(customer, cancellationToken);

        // App URL and Redirect URL are neighbours; the Host header of a request is anybody's word.
        var url = new Uri(settings.Wix.RedirectUrl, $"install?start={start}");
        return new JsonAnswer<LinkBody>(201, new LinkBody(url.AbsoluteUri, expiresOn), Json.Default.LinkBody);
    });

    private static async Task<string?> ReadCustomerAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var buffer = new byte[MaxLinkRequest + 1];
        var length = await request.Body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken);
        if (length > MaxLinkRequest)
        {
            return null;
        }

        try
        {
            var customer = JsonSerializer.Deserialize(buffer.AsSpan(0, length), Json.Default.LinkRequestBody)?.Customer;
            return customer is { Length: > 0 and <= InstallTickets.MaxCustomerLength }
                && !customer.Any(char.IsControl)
                && !string.IsNullOrWhiteSpace(customer)
                    ? customer
                    : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    private static InstanceBody BodyOf(Instance instance) => new(
        instance.Id.ToString(),
        Words.Of(instance.Status),
        instance.SetupCompletedAt,
        Words.Of(instance.Grant),
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

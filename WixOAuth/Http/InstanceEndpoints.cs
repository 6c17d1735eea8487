using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Lifecycle;
using WixOAuth.Settings;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Http;

internal sealed class InstanceEndpoints(
    IInstanceStore store, InstanceLifecycle life, SetupCompleter setup, InstallLinkService links, ServiceSettings settings, ILogger<InstanceEndpoints> logger)
{
    /// <summary>In characters, of a customer and of a display name.</summary>
    public const int MaxNameLength = 200;

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

        // An empty customer is refused too: a caller whose own value is missing must not see the sites of all customers.
        var customer = values["customer"];
        if (request.Query.ContainsKey("customer") && !IsName(customer ?? ""))
        {
            return Problems.InvalidRequest(
                $"customer should have 1 to {MaxNameLength} characters, at least one of them visible and none a control character.");
        }

        // Identifies the list in its cursors. Unchanged where there is no customer, so that cursors of earlier versions stay valid.
        var list = customer is null ? values["status"] : $"{values["status"]} of {customer}";
        if (!ListCursor.TryRead(values["cursor"], list, out var after))
        {
            return Problems.InvalidRequest("cursor should be one that was returned for the same status and customer.");
        }

        var page = await store.ListAsync(status, after, limit, cancellationToken, customer);
        return new JsonAnswer<InstanceListBody>(
            new InstanceListBody([.. page.Instances.Select(BodyOf)], page.Last is { } end ? ListCursor.Write(list, end) : null),
            Json.Default.InstanceListBody);
    });

    public Task<IResult> ForgetInstance(HttpRequest request, string instanceId, CancellationToken cancellationToken) =>
        logger.GuardInstanceAsync(request, instanceId, async id =>
        {
            cancellationToken.ThrowIfCancellationRequested();

            // Not cancelled from here on: half forgotten, it would be served from memory and come back with a restore, and nobody would ask again.
            await life.ForgetAsync(id, CancellationToken.None);
            return new EmptyAnswer(StatusCodes.Status204NoContent);
        });

    public Task<IResult> CompleteSetup(HttpRequest request, string instanceId, CancellationToken cancellationToken) =>
        logger.GuardInstanceAsync(request, instanceId, async id => await setup.CompleteAsync(id, cancellationToken) switch
        {
            (TokenResult.Token, WixResponseKind.Success) => new EmptyAnswer(StatusCodes.Status204NoContent),
            (TokenResult.Token, _) => Problems.WixUnavailable(TimeSpan.FromMinutes(1)),
            var (result, _) => Problems.Of(result),
        });

    public Task<IResult> CreateInstallLink(HttpRequest request, CancellationToken cancellationToken) => logger.GuardAsync(request, async () =>
    {
        if (await BodyReader.ReadJsonAsync(request, Json.Default.LinkRequestBody, cancellationToken) is not { Customer: { } customer } asked
            || !IsName(customer)
            || !(asked.DisplayName is null || IsName(asked.DisplayName)))
        {
            return Problems.InvalidRequest($"The body should be JSON with a customer and optionally a display_name, each with 1 to {MaxNameLength} characters.");
        }

        var (start, expiresOn) = await links.IssueAsync(customer, asked.DisplayName, cancellationToken);

        // From the settings: the Host header of a request can be forged.
        var url = new Uri(settings.Wix.AppUrl, $"?start={start}");
        return new JsonAnswer<LinkBody>(new LinkBody(url.AbsoluteUri, expiresOn), Json.Default.LinkBody, StatusCodes.Status201Created);
    });

    public Task<IResult> SetCustomer(HttpRequest request, string instanceId, CancellationToken cancellationToken) =>
        logger.GuardInstanceAsync(request, instanceId, async id =>
        {
            if (await BodyReader.ReadJsonAsync(request, Json.Default.CustomerBody, cancellationToken) is not { } body
                || !(body.Customer is null || IsName(body.Customer)))
            {
                return Problems.InvalidRequest($"The body should be JSON with a customer: null, or 1 to {MaxNameLength} characters.");
            }

            return await life.SetCustomerAsync(id, body.Customer, cancellationToken) switch
            {
                null => Problems.UnknownInstance(),
                { Status: InstanceStatus.Removed } => Problems.AppRemoved(),
                _ => new EmptyAnswer(StatusCodes.Status204NoContent),
            };
        });

    /// <summary>Whether a text can name a customer: something of it can be seen.</summary>
    public static bool IsName(string text) =>
        text is { Length: > 0 and <= MaxNameLength } && !text.Any(char.IsControl) && text.EnumerateRunes().Any(IsVisible);

    // The last are letters and a symbol that fonts draw as blanks: the Hangul fillers and the empty Braille pattern.
    private static bool IsVisible(Rune rune) =>
        (Rune.IsLetter(rune) || Rune.IsNumber(rune) || Rune.IsPunctuation(rune) || Rune.IsSymbol(rune))
        && rune.Value is not (0x115F or 0x1160 or 0x2800 or 0x3164 or 0xFFA0);

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

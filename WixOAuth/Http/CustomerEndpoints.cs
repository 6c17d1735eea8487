using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Lifecycle;
using WixOAuth.Settings;

namespace WixOAuth.Http;

internal sealed class CustomerEndpoints(InstanceLifecycle life, InstallLinkService links, ServiceSettings settings, ILogger<CustomerEndpoints> logger)
{
    /// <summary>In characters, of a customer and of a display name.</summary>
    public const int MaxNameLength = 200;

    public Task<IResult> CreateInstallLink(HttpRequest request, CancellationToken cancellationToken) => logger.GuardAsync(async () =>
    {
        if (Parameters.RefuseUnknown(request) is { } refusal)
        {
            return refusal;
        }

        if (await BodyReader.ReadJsonAsync(request, Json.Default.LinkRequestBody, cancellationToken) is not { Customer: { } customer } asked
            || !IsName(customer)
            || !(asked.DisplayName is null || IsName(asked.DisplayName)))
        {
            return Problems.InvalidRequest($"The body should be JSON with a customer, and a display_name if you like, of 1 to {MaxNameLength} characters each.");
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
        text is { Length: > 0 and <= MaxNameLength } && !text.Any(char.IsControl) && !text.EnumerateRunes().All(IsInvisible);

    // The last are letters and a symbol that fonts draw as blanks: the Hangul fillers and the empty Braille pattern.
    private static bool IsInvisible(Rune rune) =>
        Rune.IsWhiteSpace(rune) || Rune.GetUnicodeCategory(rune) == UnicodeCategory.Format || rune.Value is 0x115F or 0x1160 or 0x2800 or 0x3164 or 0xFFA0;
}

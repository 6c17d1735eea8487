// Shows a site's data with its token, and receives the service's events. Settings: WixOAuth__Url, WixOAuth__Key,
// Events__Secret, and Wix__ApiUrl for the pretend Wix.
using System.Net;
using WixOAuth.Client;

var builder = WebApplication.CreateBuilder(args);
var settings = builder.Configuration;

// Before it is verified, an event may come from anybody.
builder.WebHost.ConfigureKestrel(kestrel => kestrel.Limits.MaxRequestBodySize = 256 * 1024);
builder.Services.AddWixOAuthClient(options =>
{
    options.Url = settings.GetValue<Uri>("WixOAuth:Url");
    options.Key = settings["WixOAuth:Key"];
});
builder.Services
    .AddHttpClient("wix", client => client.BaseAddress = settings.GetValue("Wix:ApiUrl", new Uri("https://www.wixapis.com")))
    .AddWixAuthorization();
var verifier = new EventVerifier(settings["Events:Secret"] ?? throw new InvalidOperationException("Events__Secret is missing."));

var app = builder.Build();

// Try it with: curl http://localhost:5000/sites/<instanceId>
app.MapGet("/sites/{instanceId:guid}", async (Guid instanceId, IHttpClientFactory clients, CancellationToken cancellationToken) =>
{
    try
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/apps/v1/instance").SetWixInstance(instanceId);
        using var response = await clients.CreateClient("wix").SendAsync(request, cancellationToken);
        return response.IsSuccessStatusCode
            ? Results.Text(await response.Content.ReadAsStringAsync(cancellationToken), "application/json")
            : Results.Problem($"Wix answered {(int)response.StatusCode}.", statusCode: StatusCodes.Status502BadGateway);
    }
    catch (WixOAuthException exception)
    {
        // Any other status says how the service was asked, which is not the visitor's fault.
        var isTheirs = exception.Status is HttpStatusCode.NotFound or HttpStatusCode.Conflict or HttpStatusCode.Gone or HttpStatusCode.ServiceUnavailable;
        return Results.Problem(exception.Message, statusCode: isTheirs ? (int)exception.Status! : StatusCodes.Status502BadGateway);
    }
});

app.MapPost("/events", async (HttpRequest request, CancellationToken cancellationToken) =>
{
    using var body = new MemoryStream();
    await request.Body.CopyToAsync(body, cancellationToken);
    try
    {
        var change = verifier.Verify(body.ToArray(), name => request.Headers[name]);
        app.Logger.LogInformation("{Type} of {Instance}", change.Type, change.Data?.InstanceId);
        return Results.NoContent();
    }
    catch (EventVerificationException)
    {
        return Results.Unauthorized();
    }
});

app.Run();

using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Secrets;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Faults;

/// <summary>What only a real wire can show of the client that the service registers for Wix.</summary>
public sealed class WireTests
{
    private static readonly AppSecret Secret = new("the-app-secret");
    private static readonly RefreshToken Token = new("the-refresh-token");

    [Theory]
    [InlineData(301)]
    [InlineData(302)]
    [InlineData(307)]
    [InlineData(308)]
    public async Task No_redirect_takes_a_secret_elsewhere(int status)
    {
        var elsewhere = 0;
        await using var other = await ServeAsync(context =>
        {
            Interlocked.Increment(ref elsewhere);
            return Task.CompletedTask;
        });
        await using var wix = await ServeAsync(context =>
        {
            context.Response.StatusCode = status;
            context.Response.Headers.Location = $"{UrlOf(other)}/oauth/access";
            return Task.CompletedTask;
        });

        Assert.IsType<TokenAnswer.Unavailable>(await RefreshAsync(UrlOf(wix)));
        Assert.Equal(0, elsewhere);
    }

    [Fact]
    public async Task A_server_with_a_wrong_certificate_sees_no_request()
    {
        using var key = RSA.Create(2_048);
        var signed = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
            .CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(200));
        using var certificate = X509CertificateLoader.LoadPkcs12(signed.Export(X509ContentType.Pkcs12), null);
        var seen = 0;
        await using var wix = await ServeAsync(
            context =>
            {
                Interlocked.Increment(ref seen);
                return Task.CompletedTask;
            },
            certificate);

        Assert.IsType<TokenAnswer.Unavailable>(await RefreshAsync(UrlOf(wix)));
        Assert.Equal(0, seen);
    }

    [Fact]
    public async Task A_body_of_ten_megabytes_is_not_read_to_its_end()
    {
        var written = 0L;
        await using var wix = await ServeAsync(async context =>
        {
            var piece = new byte[64 * 1_024];
            context.Response.ContentType = "application/json";
            for (var pieces = 0; pieces < 160; pieces++)
            {
                await context.Response.Body.WriteAsync(piece, context.RequestAborted);
                Interlocked.Add(ref written, piece.Length);
            }
        });

        Assert.IsType<TokenAnswer.Unavailable>(await RefreshAsync(UrlOf(wix)));

        // Two attempts, each with what the sockets' buffers hold beyond what was read.
        Assert.InRange(written, 1, 16_000_000);
    }

    private static async Task<TokenAnswer> RefreshAsync(string apiUrl)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["Wix:AppId"] = "11111111-2222-4333-8444-555555555555",
            ["Wix:AppSecret"] = Secret.Reveal(),
            ["Wix:RedirectUrl"] = "https://tokens.example.com/api/redirect",
            ["Wix:ApiUrl"] = apiUrl,
            ["Tables:ConnectionString"] = "UseDevelopmentStorage=true",
            ["Tokens:ProtectionKey"] = Convert.ToBase64String(Core.Key),
        }).Build();
        await using var services = new ServiceCollection().AddLogging().AddWixOAuth(configuration).BuildServiceProvider();
        return await services.GetRequiredService<WixClient>().RefreshAsync(Token, Secret, CancellationToken.None);
    }

    private static string UrlOf(WebApplication server) => server.Urls.Single();

    private static async Task<WebApplication> ServeAsync(RequestDelegate answer, X509Certificate2? certificate = null)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel => kestrel.Listen(
            IPAddress.Loopback,
            0,
            listen =>
            {
                if (certificate is not null)
                {
                    listen.UseHttps(certificate);
                }
            }));
        var server = builder.Build();
        server.Run(answer);
        await server.StartAsync();
        return server;
    }
}

using System.Net;
using System.Net.Sockets;
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
    public async Task A_redirect_sends_no_secret_to_another_host(int status)
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
    public async Task A_body_of_two_hundred_megabytes_is_not_read_to_its_end()
    {
        // A bare socket: Kestrel would go on accepting a body that nothing reads.
        const long Whole = 200 * 1_024 * 1_024;
        var written = 0L;
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var serving = ServeAllAsync();

        Assert.IsType<TokenAnswer.Unavailable>(await RefreshAsync($"http://{listener.LocalEndpoint}"));
        listener.Stop();
        await serving;

        // What the sockets hold of both attempts is written, too.
        Assert.InRange(written, 1, Whole / 2);

        async Task ServeAllAsync()
        {
            try
            {
                while (true)
                {
                    using var connection = await listener.AcceptTcpClientAsync();
                    await ServeOneAsync(connection.GetStream());
                }
            }
            catch (SocketException)
            {
                // The listener was stopped.
            }
        }

        async Task ServeOneAsync(NetworkStream stream)
        {
            var piece = new byte[64 * 1_024];
            try
            {
                _ = await stream.ReadAsync(piece);
                await stream.WriteAsync("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"u8.ToArray());
                for (var left = Whole; left > 0; left -= piece.Length)
                {
                    await stream.WriteAsync(piece);
                    written += piece.Length;
                }
            }
            catch (IOException)
            {
                // The client has gone, as it should.
            }
        }
    }

    [Fact]
    public async Task An_answer_that_drips_is_not_waited_for()
    {
        using var core = new Core();
        var drops = 0;
        core.Wix.Answer = (_, _, _) => Task.FromResult(new HttpResponseMessage { Content = new Dripping(core.Clock, () => Interlocked.Increment(ref drops)) });

        Assert.IsType<TokenAnswer.Unavailable>(await core.RunAsync(() => core.Client.RefreshAsync(Token, Secret, CancellationToken.None)));

        // Not the time: fake time may pass while the machine keeps the reader's thread waiting.
        Assert.InRange(drops, 1, WixClient.LongestTokenCall.TotalSeconds + 2);
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

    /// <summary>A byte each second, and never done.</summary>
    private sealed class Dripping(TimeProvider time, Action drops) : HttpContent
    {
        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
            SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            while (true)
            {
                drops();
                await stream.WriteAsync(" "u8.ToArray(), cancellationToken);
                await Task.Delay(TimeSpan.FromSeconds(1), time, cancellationToken);
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}

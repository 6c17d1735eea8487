using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Scale;
using WixOAuth.Secrets;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Benchmarks;

/// <summary>The service as a host registers it, with its instances in memory and a Wix that refuses whatever it is asked.</summary>
internal sealed class Service : IDisposable
{
    public const string AppId = "11111111-2222-4333-8444-555555555555";

    private readonly ServiceProvider _services;

    public Service(string? webhookPublicKey = null)
    {
        var settings = new Dictionary<string, string?>
        {
            ["Wix:AppId"] = AppId,
            ["Wix:AppSecret"] = "the-app-secret-of-a-bench",
            ["Wix:RedirectUrl"] = "https://tokens.example.com/api/redirect",
            ["Wix:WebhookPublicKey"] = webhookPublicKey,
            ["Tables:ConnectionString"] = "UseDevelopmentStorage=true",
            ["Tokens:ProtectionKey"] = Convert.ToBase64String(RandomNumberGenerator.GetBytes(ProtectionKey.Length)),
        };
        var services = new ServiceCollection();
        services.AddSingleton<ILoggerFactory>(NullLoggerFactory.Instance).AddSingleton(typeof(ILogger<>), typeof(NullLogger<>));
        services.AddWixOAuth(new ConfigurationBuilder().AddInMemoryCollection(settings).Build());
        MemoryInstanceStore.Use(services);
        services.Replace(ServiceDescriptor.Singleton(provider =>
        {
            var http = new HttpClient(new RefusingWix());
            return ActivatorUtilities.CreateInstance<WixTransport>(provider, http, http);
        }));
        _services = services.BuildServiceProvider();
    }

    public T Get<T>()
        where T : notnull =>
        _services.GetRequiredService<T>();

    /// <summary>Saves an instance whose token lives for a day: no benchmark outlives it.</summary>
    public async Task<InstanceId> InstallAsync()
    {
        var id = new InstanceId(Guid.NewGuid());
        var now = TimeProvider.System.GetUtcNow();
        var granted = new TokenAnswer.Granted(NewAccessToken(), new RefreshToken("OAUTH2." + new string('r', 500)), now, now + TimeSpan.FromDays(1));
        var tokens = await Get<InstanceTokens>().SealAsync(id, 1, granted, granted.RefreshToken);
        var consent = new Consent(null, null, null, null, SendSetupCompleted: false);
        await Get<IInstanceStore>().TryWriteAsync(null, Instance.Consented(null, id, consent, tokens, "seed", now), CancellationToken.None);
        return id;
    }

    /// <summary>As long as Wix's are (wix-protocol §4).</summary>
    public static AccessToken NewAccessToken() => new("OAUTH2." + new string('a', 1_400));

    public void Dispose() => _services.Dispose();

    private sealed class RefusingWix : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
            Task.FromResult(new HttpResponseMessage(HttpStatusCode.ServiceUnavailable) { Content = new StringContent("{}", Encoding.UTF8, "application/json") });
    }
}

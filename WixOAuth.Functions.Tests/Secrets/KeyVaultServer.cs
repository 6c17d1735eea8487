using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Security.KeyVault.Secrets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Secrets;

namespace WixOAuth.Functions.Tests.Secrets;

/// <summary>
/// Speaks the part of Key Vault's REST that reads secrets, over https with a certificate of its own: the bearer
/// challenge, the newest and named versions, and Key Vault's errors.
/// </summary>
public sealed class KeyVaultServer : IAsyncDisposable
{
    public const string BearerToken = "bearer-that-nobody-may-see";

    private static readonly X509Certificate2 Certificate = MakeCertificate();

    private readonly WebApplication _app;
    private readonly ConcurrentDictionary<string, List<Version>> _secrets = new();
    private readonly ConcurrentQueue<string> _calls = new();
    private readonly List<IDisposable> _disposables = [];
    private int _challenges;

    private KeyVaultServer(WebApplication app) => _app = app;

    /// <summary>The paths that were asked for with a token, in order.</summary>
    public IReadOnlyList<string> Calls => [.. _calls];

    /// <summary>How many requests came without a token.</summary>
    public int Challenges => _challenges;

    /// <summary>Answered instead of a secret, where set.</summary>
    public Func<IResult>? Fault { get; set; }

    /// <summary>Awaited before each answer, where set.</summary>
    public Task? Gate { get; set; }

    /// <summary>Completes when a request with a token has arrived.</summary>
    public TaskCompletionSource Arrived { get; set; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Uri Uri => new(_app.Urls.First());

    public static async Task<KeyVaultServer> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(Certificate)));
        var server = new KeyVaultServer(builder.Build());
        server._app.MapGet("/secrets/{name}/{version?}", server.AnswerAsync);
        await server._app.StartAsync();
        return server;
    }

    /// <summary>Adds a version of a secret, which becomes the newest.</summary>
    public string Add(string name, string value, string? version = null)
    {
        version ??= Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
        var versions = _secrets.GetOrAdd(name, _ => []);
        lock (versions)
        {
            versions.Add(new Version(version, value));
        }

        return version;
    }

    public void Disable(string name, string version)
    {
        var versions = _secrets[name];
        lock (versions)
        {
            versions[versions.FindIndex(each => each.Id == version)].Enabled = false;
        }
    }

    public static IResult Error(int status, string code, string message, string? innerCode = null) =>
        Results.Json(
            new { error = new { code, message, innererror = innerCode is null ? null : new { code = innerCode } } }, statusCode: status);

    public static IResult Forbidden() => Error(403, "Forbidden", "The user does not have secrets get permission.", "AccessDenied");

    /// <summary>The real client, as the service makes it, but for its trust in this server and delays between retries.</summary>
    public SecretClient Client(TokenCredential? credential = null)
    {
        var handler = new HttpClientHandler
        {
            ServerCertificateCustomValidationCallback = (_, certificate, _, _) => certificate?.Thumbprint == Certificate.Thumbprint,
        };
        _disposables.Add(handler);
        var options = VaultReader.ClientOptions();
        options.Transport = new HttpClientTransport(handler);
        options.DisableChallengeResourceVerification = true;
        options.RetryPolicy = new VaultReader.ObedientRetryPolicy(
            DelayStrategy.CreateFixedDelayStrategy(TimeSpan.FromMilliseconds(1)));
        return new SecretClient(Uri, credential ?? new FixedCredential(), options);
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _disposables.ForEach(each => each.Dispose());
    }

    private async Task<IResult> AnswerAsync(HttpContext context, string name, string? version)
    {
        if (context.Request.Headers.Authorization != "Bearer " + BearerToken)
        {
            Interlocked.Increment(ref _challenges);
            context.Response.Headers.WWWAuthenticate =
                "Bearer authorization=\"https://login.microsoftonline.com/00000000-0000-0000-0000-000000000001\", resource=\"https://vault.azure.net\"";
            return Error(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.");
        }

        _calls.Enqueue(context.Request.Path);
        Arrived.TrySetResult();
        if (Gate is { } gate)
        {
            await gate;
        }

        if (Fault is { } fault)
        {
            return fault();
        }

        if (!_secrets.TryGetValue(name, out var versions))
        {
            return Error(404, "SecretNotFound", $"A secret with (name/id) {name} was not found in this key vault.");
        }

        Version? found;
        lock (versions)
        {
            found = version is null ? versions[^1] : versions.Find(each => each.Id == version);
        }

        return found switch
        {
            null => Error(404, "SecretNotFound", $"A secret with (name/id) {name}/{version} was not found in this key vault."),
            { Enabled: false } => Error(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled"),
            _ => Results.Json(new
            {
                value = found.Value,
                id = $"{Uri}secrets/{name}/{found.Id}",
                attributes = new { enabled = true, created = 1_700_000_000, updated = 1_700_000_000, recoveryLevel = "Recoverable+Purgeable" },
            }),
        };
    }

    private static X509Certificate2 MakeCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=127.0.0.1", key, HashAlgorithmName.SHA256);
        var now = TimeProvider.System.GetUtcNow();
        return request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
    }

    private sealed class Version(string id, string value)
    {
        public string Id => id;

        public string Value => value;

        public bool Enabled { get; set; } = true;
    }

    private sealed class FixedCredential : TokenCredential
    {
        public override Azure.Core.AccessToken GetToken(TokenRequestContext requestContext, CancellationToken cancellationToken) =>
            new(BearerToken, TimeProvider.System.GetUtcNow().AddHours(1));

        public override ValueTask<Azure.Core.AccessToken> GetTokenAsync(TokenRequestContext requestContext, CancellationToken cancellationToken) =>
            new(GetToken(requestContext, cancellationToken));
    }
}

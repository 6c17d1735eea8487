using System.Collections.Concurrent;
using System.Globalization;
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
/// Speaks the part of Key Vault's REST that reads secrets, over https with its own certificate: the bearer
/// challenge, the newest and named versions, and Key Vault's errors.
/// </summary>
internal sealed class KeyVaultServer : IAsyncDisposable
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
        server._app.MapGet("/secrets/{name}/versions", (HttpContext context, string name) => server.AnswerAsync(context, name, versions => server.List(context, name, versions)));
        server._app.MapGet("/secrets/{name}/{version?}", (HttpContext context, string name, string? version) =>
            server.AnswerAsync(context, name, versions => server.Read(name, version, versions)));
        await server._app.StartAsync();
        return server;
    }

    /// <summary>Whether listing the versions of secrets is refused, as where the identity may only read them.</summary>
    public bool RefusesLists { get; set; }

    /// <summary>The version whose value is answered with 429, where set.</summary>
    public string? ThrottledVersion { get; set; }

    /// <summary>Adds a version of a secret, which becomes the newest.</summary>
    /// <param name="name">The secret's name.</param>
    /// <param name="value">The version's value.</param>
    /// <param name="version">The version; a new one where null.</param>
    /// <param name="createdOn">When it was made; long ago where null, each later than the one before.</param>
    public string Add(string name, string value, string? version = null, DateTimeOffset? createdOn = null)
    {
        version ??= Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
        var versions = _secrets.GetOrAdd(name, _ => []);
        lock (versions)
        {
            versions.Add(new Version(version, value, createdOn?.ToUnixTimeSeconds() ?? 900_000_000 + versions.Count));
        }

        return version;
    }

    public void Disable(string name, string version) => Change(name, version, found => found.Enabled = false);

    public void Enable(string name, string version) => Change(name, version, found => found.Enabled = true);

    /// <summary>Deletes a secret with all its versions.</summary>
    public void Delete(string name) => _secrets.TryRemove(name, out _);

    private void Change(string name, string version, Action<Version> change)
    {
        var versions = _secrets[name];
        lock (versions)
        {
            change(versions.Find(each => each.Id == version)!);
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
        options.RetryPolicy = VaultReader.RetryPolicyWith(DelayStrategy.CreateFixedDelayStrategy(TimeSpan.FromMilliseconds(1)));
        return new SecretClient(Uri, credential ?? new FixedCredential(), options);
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _disposables.ForEach(each => each.Dispose());
    }

    private async Task<IResult> AnswerAsync(HttpContext context, string name, Func<List<Version>, IResult> answer)
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

        lock (versions)
        {
            return answer(versions);
        }
    }

    private IResult Read(string name, string? version, List<Version> versions) =>
        (version is null ? versions[^1] : versions.Find(each => each.Id == version)) switch
        {
            _ when version is not null && version == ThrottledVersion => Error(429, "Throttled", "Too many requests."),
            null => Error(404, "SecretNotFound", $"A secret with (name/id) {name}/{version} was not found in this key vault."),
            { Enabled: false } => Error(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled"),
            { } found => Results.Json(new { value = found.Value, id = $"{Uri}secrets/{name}/{found.Id}", attributes = found.Attributes }),
        };

    // Two at a time, so that a client has to follow the link to the next page.
    private IResult List(HttpContext context, string name, List<Version> versions)
    {
        var from = int.Parse(context.Request.Query["$skiptoken"].FirstOrDefault() ?? "0", CultureInfo.InvariantCulture);
        return RefusesLists ? Forbidden() : Results.Json(new
        {
            value = versions.Skip(from).Take(2).Select(each => new { id = $"{Uri}secrets/{name}/{each.Id}", attributes = each.Attributes }),
            nextLink = from + 2 < versions.Count ? $"{Uri}secrets/{name}/versions?api-version=7.5&$skiptoken={from + 2}" : null,
        });
    }

    private static X509Certificate2 MakeCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=127.0.0.1", key, HashAlgorithmName.SHA256);
        var now = TimeProvider.System.GetUtcNow();
        return request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
    }

    private sealed class Version(string id, string value, long created)
    {
        public object Attributes => new { enabled = Enabled, created, updated = created, recoveryLevel = "Recoverable+Purgeable" };

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

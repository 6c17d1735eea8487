// TODO-MERGE: delete this file. It stands in for Azurite.cs, AzuriteMissingException.cs, PretendWix/ and the core's
// AddWixOAuth, which are written in parallel; everything else already calls them as they will be.
#pragma warning disable CS1591, IDE0130, CA1032, IDE0060
using Microsoft.Extensions.Options;
using WixOAuth.Settings;

namespace WixOAuth.Local
{
    public sealed class AzuriteMissingException(string message) : Exception(message);

    public sealed class Azurite : IAsyncDisposable
    {
        public ConnectionString ConnectionString { get; } = new("UseDevelopmentStorage=true");

        public static Task<Azurite> StartAsync(string dataFolder, CancellationToken cancellationToken)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Directory.CreateDirectory(dataFolder);
            return Task.FromResult(new Azurite());
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}

namespace WixOAuth.Local.PretendWix
{
    public sealed class PretendWixOptions
    {
        public required string AppId { get; init; }

        public required string AppSecret { get; init; }

        public Uri? AppUrl { get; init; }

        public Uri? RedirectUrl { get; init; }

        public Uri? WebhookUrl { get; init; }

        public string? StateFile { get; init; }
    }

    public sealed class PretendWixServer : IAsyncDisposable
    {
        public Uri Url { get; } = new("http://127.0.0.1:1/");

        public Uri ApiUrl => Url;

        public Uri InstallerUrl => new(Url, "installer");

        public string WebhookPublicKeyPem { get; } = NewKey();

        public static Task<PretendWixServer> StartAsync(PretendWixOptions options, CancellationToken cancellationToken)
        {
            cancellationToken.ThrowIfCancellationRequested();
            return Task.FromResult(new PretendWixServer());
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;

        private static string NewKey()
        {
            using var rsa = System.Security.Cryptography.RSA.Create(2048);
            return rsa.ExportSubjectPublicKeyInfoPem();
        }
    }
}

namespace WixOAuth
{
    internal static class Placeholders
    {
        public static IServiceCollection AddWixOAuth(this IServiceCollection services, IConfiguration configuration) =>
            services.AddHostedService(_ => new SettingsCheck(configuration));

        private sealed class SettingsCheck(IConfiguration configuration) : IHostedService
        {
            public Task StartAsync(CancellationToken cancellationToken) =>
                ServiceSettings.Read(configuration).Problems is { Count: > 0 } problems
                    ? throw new OptionsValidationException("WixOAuth", typeof(ServiceSettings), problems)
                    : Task.CompletedTask;

            public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
        }
    }
}

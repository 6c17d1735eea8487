using System.Collections.Concurrent;
using System.Security.Cryptography;
using Azure.Core;
using Microsoft.Extensions.Time.Testing;
using WixOAuth.Protection;
using WixOAuth.Secrets;

namespace WixOAuth.Functions.Tests.Secrets;

/// <summary>
/// A vault, a clock and the sources on both. When it ends, nothing secret may have been logged or be in any exception
/// that was caught with <see cref="RefusedAsync"/>.
/// </summary>
public abstract class KeyVaultFixture : IAsyncLifetime
{
    protected const string AppSecretName = "wix-app-secret";
    protected const string KeyName = "token-protection-key";

    private readonly ConcurrentBag<string> _values = [KeyVaultServer.BearerToken];
    private readonly ConcurrentBag<string> _exceptions = [];

    private protected KeyVaultServer Vault { get; private set; } = null!;

    protected FakeTimeProvider Time { get; } = new();

    internal CapturedLogs Logs { get; } = new();

    protected static CancellationToken None => CancellationToken.None;

    public async Task InitializeAsync() => Vault = await KeyVaultServer.StartAsync();

    public async Task DisposeAsync()
    {
        await Vault.DisposeAsync();
        Logs.Dispose();
        var seen = Logs.Everything + string.Join('\n', _exceptions);
        Assert.All(_values, value => Assert.DoesNotContain(value, seen, StringComparison.Ordinal));
    }

    internal ISecretSource<AppSecretVersion> AppSecrets(TokenCredential? credential = null) =>
        Reader(credential).SourceOf(AppSecretName, AppSecretVersion.Parse);

    internal KeyRing Keys()
    {
        var reader = Reader();
        var loader = new KeyVaultKeyLoader(reader, KeyName, Time, Logs.For<KeyRing>());
        return new KeyRing(reader.SourceOf(KeyName, loader.LoadAsync), Logs.For<KeyRing>());
    }

    internal VaultReader Reader(TokenCredential? credential = null) => new(Vault.Client(credential), Time, Logs.For<VaultReader>());

    protected string AddAppSecret(string value)
    {
        _values.Add(value.Trim());
        return Vault.Add(AppSecretName, value);
    }

    protected string AddKey(string? value = null)
    {
        value ??= Convert.ToBase64String(RandomNumberGenerator.GetBytes(ProtectionKey.Length));
        if (value.Length > 0)
        {
            _values.Add(value);
        }

        return Vault.Add(KeyName, value);
    }

    private protected async Task<SecretUnavailableException> RefusedAsync(Func<Task> action)
    {
        var exception = await Assert.ThrowsAnyAsync<SecretUnavailableException>(action);
        _exceptions.Add(exception.ToString());
        return exception;
    }
}

using Azure.Core;
using Azure.Identity;
using Azure.Security.KeyVault.Secrets;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Settings;

namespace WixOAuth.Functions.Tests.Secrets;

public sealed class SecretRegistrationTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task Without_a_vault_the_configured_secrets_are_used_without_signing_in()
    {
        using var provider = Register(
            ("Wix:AppSecret", "configured-secret"), ("Tokens:ProtectionKey", Convert.ToBase64String(new byte[32])));
        var secrets = provider.GetRequiredService<ISecretSource<AppSecretVersion>>();
        var keys = provider.GetRequiredService<IKeyRing>();
        var key = await keys.GetCurrentAsync(None);

        Assert.Equal("configured-secret", (await secrets.GetAsync(None)).Value.Reveal());
        Assert.Same(await secrets.GetAsync(None), await secrets.GetNewestAsync(None));
        Assert.Same(key, await keys.FindAsync(key.Id, None));
        Assert.Null(await keys.FindAsync(new string('0', 32), None));
        Assert.Null(provider.GetService<TokenCredential>());
    }

    [Fact]
    public async Task The_same_configured_key_opens_after_a_restart()
    {
        (string, string?)[] settings = [("Wix:AppSecret", "configured-secret"), ("Tokens:ProtectionKey", Convert.ToBase64String(new byte[32]))];
        var instance = new InstanceId(Guid.NewGuid());
        using var before = Register(settings);
        using var after = Register(settings);

        var row = await before.GetRequiredService<TokenProtector>()
            .ProtectAsync(instance, TokenField.AccessToken, 1, new WixOAuth.Secrets.AccessToken("a-token"), None);
        var state = await before.GetRequiredService<StateProtector>().ProtectAsync(StatePurpose.InstallLink, new byte[3], default, None);

        Assert.NotNull(await after.GetRequiredService<TokenProtector>().UnprotectAccessTokenAsync(instance, 1, row, None));
        Assert.NotNull(await after.GetRequiredService<StateProtector>().UnprotectAsync(StatePurpose.InstallLink, state, default, None));
    }

    [Fact]
    public void Secrets_come_from_the_vault_where_one_is_set()
    {
        using var provider = Register(("KeyVault:VaultUri", "https://name.vault.azure.net"));

        Assert.IsType<KeyVaultSource<AppSecretVersion>>(provider.GetRequiredService<ISecretSource<AppSecretVersion>>());
        Assert.IsType<KeyVaultSource<ProtectionKeys>>(provider.GetRequiredService<ISecretSource<ProtectionKeys>>());
        Assert.IsType<DefaultAzureCredential>(provider.GetRequiredService<TokenCredential>());
        Assert.Equal(new Uri("https://name.vault.azure.net"), provider.GetRequiredService<SecretClient>().VaultUri);
    }

    [Fact]
    public void Settings_without_any_source_are_refused() =>
        Assert.Contains("name no source of secrets", Assert.Throws<ArgumentException>(() => Register()).Message, StringComparison.Ordinal);

    [Fact]
    public void The_client_is_bounded_and_logs_no_bodies()
    {
        var options = VaultReader.ClientOptions();

        Assert.Equal(TimeSpan.FromSeconds(5), options.Retry.NetworkTimeout);
        Assert.False(options.Diagnostics.IsLoggingContentEnabled);
        Assert.False(options.DisableChallengeResourceVerification);
    }

    private static ServiceProvider Register(params (string Key, string? Value)[] values)
    {
        var configuration = new ConfigurationBuilder()
            .AddInMemoryCollection(values.ToDictionary(setting => setting.Key, setting => setting.Value)).Build();
        var settings = ServiceSettings.Read(configuration);
        return new ServiceCollection().AddLogging().AddSecrets(settings)
            .BuildServiceProvider(new ServiceProviderOptions { ValidateOnBuild = true, ValidateScopes = true });
    }
}

namespace WixOAuth.Secrets;

/// <summary>The secrets given as settings, for a laptop without Key Vault: one version of each, for as long as the program runs.</summary>
/// <param name="appSecret"><c>Wix__AppSecret</c></param>
/// <param name="protectionKey"><c>Tokens__ProtectionKey</c></param>
internal sealed class ConfiguredSecrets(AppSecret appSecret, ProtectionKey protectionKey) : IAppSecretSource, IProtectionKeySource
{
    private readonly AppSecretVersion _appSecret = new("configured", appSecret);

    public ValueTask<AppSecretVersion> GetAsync(CancellationToken cancellationToken) => new(_appSecret);

    public ValueTask<AppSecretVersion> GetNewestAsync(CancellationToken cancellationToken) => new(_appSecret);

    public ValueTask<ProtectionKey> GetCurrentAsync(CancellationToken cancellationToken) => new(protectionKey);

    public ValueTask<ProtectionKey?> FindAsync(string id, CancellationToken cancellationToken) =>
        new(id == protectionKey.Id ? protectionKey : null);
}

using WixOAuth.Functions.Tests.Protection;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Secrets;

namespace WixOAuth.Functions.Tests.Install;

/// <summary>With keys that are not those of the table nothing is spent: what Wix grants could not be saved.</summary>
public sealed class WrongKeyTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;

    private readonly MemoryInstanceStore _store = new();
    private readonly Core _right;
    private readonly Core _wrong;

    public WrongKeyTests()
    {
        _right = new Core(_store);
        _wrong = new Core(_store, _right.Clock, keys: Core.KeyRingOf(FixedKeys.NewKey()));
    }

    public void Dispose()
    {
        _right.Dispose();
        _wrong.Dispose();
    }

    [Fact]
    public async Task An_import_uses_no_token()
    {
        Assert.True(await _right.Protector.CanSealAsync(None));

        await Assert.ThrowsAsync<SecretUnavailableException>(() => _wrong.RunAsync(() => _wrong.Get<InstanceImport>().ImportAsync(
            Core.NewId(), new RefreshToken("given-refresh"), new ImportedSite(null, null, Revive: false, null, null), None)));

        Assert.Empty(_wrong.Wix.Calls);
    }

    [Fact]
    public async Task A_redirect_spends_neither_its_code_nor_its_state()
    {
        Assert.True(await _right.Protector.CanSealAsync(None));
        var consent = Assert.IsType<InstallResult.Consent>(await _wrong.Start.BeginAsync(null, null, [], None));
        var state = Microsoft.AspNetCore.WebUtilities.QueryHelpers.ParseQuery(new Uri(consent.Url.Reveal()).Query)["state"].Single();
        var request = new RedirectRequest(
            new AuthorizationCode("the-code"), state, Core.NewId().ToString(), false, [KeyValuePair.Create(consent.Set.Name, consent.Set.Value)]);

        await Assert.ThrowsAsync<SecretUnavailableException>(() => _wrong.RunAsync(() => _wrong.Flow.CompleteAsync(request, None)));

        Assert.Empty(_wrong.Wix.Calls);
        var (nonce, issuedAt) = (await _wrong.States.ReadStateAsync(state!, None))!.Value;
        Assert.Null(await _store.FindConsumedStateAsync(Convert.ToHexStringLower(nonce), issuedAt, None));
    }
}

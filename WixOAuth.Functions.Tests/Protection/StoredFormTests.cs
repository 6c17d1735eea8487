using WixOAuth.Instances;
using WixOAuth.Protection;

namespace WixOAuth.Functions.Tests.Protection;

/// <summary>
/// Sealed texts stay readable for as long as their key exists. These were made by another program (OpenSSL through Node)
/// from the description of the form, and by version 1 of this service. A change that makes these tests fail makes every stored token unreadable.
/// </summary>
public sealed class StoredFormTests
{
    private const string KeyCheckText = "0a0b0c0d0e0f10111213141521ca2bf375a7e351cc55a6259e8741edaa5c6951ea8516dd231a6e03034f8981c3fd";
    private const string KeyId = "049c93ea0e2169da0d573c9698ca83ff";

    private static readonly byte[] s_key = [.. Enumerable.Range(0, ProtectionKey.Length).Select(number => (byte)number)];
    private static readonly FixedKeys s_keys = new(new ProtectionKey(KeyId, s_key));
    private static readonly InstanceId s_instance = new(Guid.Parse("00112233-4455-6677-8899-aabbccddeeff"));
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public void A_key_without_an_id_is_called_after_itself() => Assert.Equal(KeyId, ProtectionKey.IdOf(s_key));

    [Fact]
    public async Task Tokens_of_generation_7_are_read()
    {
        var protector = new TokenProtector(s_keys);

        Assert.Equal(
            "a refresh token",
            (await protector.UnprotectRefreshTokenAsync(s_instance, 7, Sealed("0a0b0c0d0e0f101112131415db7ff5155a3c03a9691a17e213d9f8e89009df0a6c407a77e2fbb7b646b81e"), None))?.Reveal());
        Assert.Equal(
            "an access token",
            (await protector.UnprotectAccessTokenAsync(s_instance, 7, Sealed("0a0b0c0d0e0f101112131415db31a7115f2d03a9721a17e213d9f89be5093422bd906972e60f0759be74c2"), None))?.Reveal());
    }

    [Theory]
    [InlineData(StatePurpose.InstallState, "AQSck-oOIWnaDVc8lpjKg_8KCwwNDg8QERITFBXLjhkk-GHc5RVW7PDkqfsBQynQ1nVpEWaj")]
    [InlineData(StatePurpose.InstallCookie, "AQSck-oOIWnaDVc8lpjKg_8KCwwNDg8QERITFBU0NUc2eGWlkCo1S5-nV4z6Pvjq_WX332HV")]
    [InlineData(StatePurpose.InstallLink, "AQSck-oOIWnaDVc8lpjKg_8KCwwNDg8QERITFBX80kRpAixuB9gUmH_mjBxM2z5S6AnNgqdl")]
    public async Task Browser_texts_are_read_for_their_purpose_only(string purpose, string text)
    {
        var protector = new StateProtector(s_keys);
        foreach (var each in StateProtectorTests.Purposes)
        {
            var payload = await protector.UnprotectAsync(each, text, "of a browser"u8.ToArray(), None);
            Assert.Equal(each == purpose ? "a payload"u8.ToArray() : null, payload);
        }
    }

    [Fact]
    public async Task Tokens_that_version_1_stored_are_read()
    {
        var protector = new TokenProtector(s_keys);

        Assert.Equal(
            "landed refresh token",
            (await protector.UnprotectRefreshTokenAsync(s_instance, 42, Sealed("8fc8c39449db80ba36d6ddc21a23d47166f28f144dc79d276686ac0f22e197cdb037feb99d94196035f28dd375020047"), None))?.Reveal());
        Assert.Equal(
            "landed access token",
            (await protector.UnprotectAccessTokenAsync(s_instance, 42, Sealed("035e6734038feb2b92c85e2690f725c30b094a055cc30c4a6ee468ead0756fac5d97db6fe7d9a8c9e49de9fb6a8ccc"), None))?.Reveal());
    }

    [Theory]
    [InlineData(StatePurpose.InstallState, "AQSck-oOIWnaDVc8lpjKg_-FCi-2gihqZiw_5oszF5Z0JlswB5Hupzc18YT92S59tTC87rBzpUGamxQ")]
    [InlineData(StatePurpose.InstallCookie, "AQSck-oOIWnaDVc8lpjKg_-Yo8wpYhL__2TxTA33Ovd5z-mHpLJOeOmC0JyUu7BHIP0UE7XGrtQx4oA")]
    [InlineData(StatePurpose.InstallLink, "AQSck-oOIWnaDVc8lpjKg_9wjtPlqMZSCr3lIIKg9pCiuK8c3uEDQi8sPB9eP8klK8Mb8z3wUGn2qOI")]
    public async Task States_cookies_and_links_of_version_1_are_read(string purpose, string text) =>
        Assert.Equal("landed payload"u8.ToArray(), await new StateProtector(s_keys).UnprotectAsync(purpose, text, default, None));

    [Fact]
    public void The_key_check_row_opens_with_its_key_only()
    {
        var check = KeyCheck.Seal(new ProtectionKey(KeyId, s_key));

        Assert.True(KeyCheck.Opens(new ProtectionKey(KeyId, s_key), check));
        Assert.True(KeyCheck.Opens(new ProtectionKey(KeyId, s_key), Sealed(KeyCheckText)));
        Assert.False(KeyCheck.Opens(FixedKeys.NewKey(KeyId), check));
        for (var i = 0; i < check.Data.Length; i++)
        {
            var changed = check.Data.ToArray();
            changed[i] ^= 1;
            Assert.False(KeyCheck.Opens(new ProtectionKey(KeyId, s_key), check with { Data = changed }));
        }
    }

    [Fact]
    public void A_protection_key_has_32_bytes_and_an_id_like_a_Key_Vault_version()
    {
        var bytes = Assert.Throws<ArgumentException>(() => new ProtectionKey(KeyId, new byte[31]));
        Assert.Equal("key", bytes.ParamName);
        Assert.Contains("32 bytes", bytes.Message, StringComparison.Ordinal);
        var id = Assert.Throws<ArgumentException>(() => new ProtectionKey(KeyId.ToUpperInvariant(), s_key));
        Assert.Equal("id", id.ParamName);
        Assert.Contains("32 lower-case hexadecimal digits", id.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Protected_texts_are_equal_when_key_and_bytes_are()
    {
        var one = Sealed("0011");

        Assert.True(one.Equals(Sealed("0011")));
        Assert.Equal(one.GetHashCode(), Sealed("0011").GetHashCode());
        foreach (var other in new[] { null, Sealed("0012"), Sealed("00"), one with { KeyId = new string('0', 32) } })
        {
            Assert.False(one.Equals(other));
            Assert.NotEqual(one.GetHashCode(), other?.GetHashCode());
        }
    }

    private static ProtectedText Sealed(string hex) => new(KeyId, Convert.FromHexString(hex));
}

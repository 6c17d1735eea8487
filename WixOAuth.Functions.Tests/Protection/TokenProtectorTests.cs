using CsCheck;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;

namespace WixOAuth.Functions.Tests.Protection;

public sealed class TokenProtectorTests
{
    private static readonly InstanceId Here = new(Guid.Parse("00000000-0000-0000-0000-000000000001"));
    private static readonly InstanceId Elsewhere = new(Guid.Parse("00000000-0000-0000-0000-000000000002"));
    private static readonly CancellationToken None = CancellationToken.None;

    private readonly TokenProtector _protector = new(new FixedKeys(FixedKeys.NewKey()));

    [Fact]
    public Task Any_token_is_read_back() =>
        Gen.Select(Any.Instance, Gen.Long, Any.Text).SampleAsync(async (instance, generation, text) =>
        {
            var access = await _protector.ProtectAsync(instance, TokenField.AccessToken, generation, new AccessToken(text), None);
            var refresh = await _protector.ProtectAsync(instance, TokenField.RefreshToken, generation, new RefreshToken(text), None);

            Assert.Equal(text, (await _protector.UnprotectAccessTokenAsync(instance, generation, access, None))?.Reveal());
            Assert.Equal(text, (await _protector.UnprotectRefreshTokenAsync(instance, generation, refresh, None))?.Reveal());
        }, iter: 300);

    [Theory]
    [InlineData("x")]
    [InlineData("é€😀\0\r\n")]
    public async Task Eight_thousand_characters_come_back(string unit)
    {
        var text = string.Concat(Enumerable.Repeat(unit, 8000))[..8000];

        Assert.Equal(text, (await OpenAsync(await SealAsync(text)))?.Reveal());
    }

    [Fact]
    public Task A_token_with_one_flipped_bit_does_not_open() =>
        Gen.Select(Any.Text, Gen.Int[0, 7]).SampleAsync(async (text, bit) =>
        {
            var whole = await SealAsync(text);
            for (var i = 0; i < whole.Data.Length; i++)
            {
                var bytes = whole.Data.ToArray();
                bytes[i] ^= (byte)(1 << bit);
                Assert.Null(await OpenAsync(whole with { Data = bytes }));
            }
        }, iter: 8);

    [Fact]
    public async Task Every_truncation_and_every_addition_makes_it_nothing()
    {
        var whole = await SealAsync("a-token");

        for (var length = 0; length < whole.Data.Length; length++)
        {
            Assert.Null(await OpenAsync(whole with { Data = whole.Data[..length] }));
            Assert.Null(await OpenAsync(whole with { Data = whole.Data[(whole.Data.Length - length)..] }));
        }

        Assert.Null(await OpenAsync(whole with { Data = new byte[] { 0 }.Concat(whole.Data.ToArray()).ToArray() }));
        Assert.Null(await OpenAsync(whole with { Data = whole.Data.ToArray().Append((byte)0).ToArray() }));
    }

    [Fact]
    public async Task A_token_that_was_moved_does_not_open()
    {
        var sealedText = await SealAsync("a-token");

        Assert.Null(await _protector.UnprotectRefreshTokenAsync(Elsewhere, 7, sealedText, None));
        Assert.Null(await _protector.UnprotectRefreshTokenAsync(Here, 6, sealedText, None));
        Assert.Null(await _protector.UnprotectRefreshTokenAsync(Here, 8, sealedText, None));
        Assert.Null(await _protector.UnprotectAccessTokenAsync(Here, 7, sealedText, None));
        Assert.NotNull(await OpenAsync(sealedText));
    }

    [Fact]
    public async Task The_same_token_is_never_encrypted_alike()
    {
        var first = await SealAsync("a-token");
        var second = await SealAsync("a-token");

        Assert.NotEqual(first, second);
        Assert.Equal("a-token".Length + 28, first.Data.Length);
    }

    [Fact]
    public async Task An_older_key_still_opens_and_the_newest_is_used_for_new_ones()
    {
        var (old, newest) = (FixedKeys.NewKey(), FixedKeys.NewKey());
        var row = await new TokenProtector(new FixedKeys(old)).ProtectAsync(Here, TokenField.RefreshToken, 7, new RefreshToken("a-token"), None);
        var rotated = new TokenProtector(new FixedKeys(old, newest));

        Assert.Equal("a-token", (await rotated.UnprotectRefreshTokenAsync(Here, 7, row, None))?.Reveal());
        Assert.Equal(
            newest.Id, (await rotated.ProtectAsync(Here, TokenField.RefreshToken, 8, new RefreshToken("a-token"), None)).KeyId);
    }

    [Fact]
    public async Task A_key_that_is_unknown_or_another_opens_nothing()
    {
        var sealedText = await SealAsync("a-token");
        var impostor = new TokenProtector(new FixedKeys(FixedKeys.NewKey(sealedText.KeyId)));

        Assert.Null(await impostor.UnprotectRefreshTokenAsync(Here, 7, sealedText, None));
        Assert.Null(await OpenAsync(sealedText with { KeyId = FixedKeys.NewKey().Id }));
        Assert.Null(await OpenAsync(sealedText with { KeyId = "" }));
    }

    [Fact]
    public async Task Sealed_bytes_that_are_not_UTF8_do_not_open()
    {
        var key = FixedKeys.NewKey();
        var instanceKey = System.Security.Cryptography.HMACSHA256.HashData(key.Derive("tokens"), Here.ToByteArray());
        byte[] place = [.. Here.ToByteArray(), 1, 0, 0, 0, 0, 0, 0, 0, 7];
        var protector = new TokenProtector(new FixedKeys(key));

        Assert.Equal("ok", (await OpenAsync([.. "ok"u8]))?.Reveal());
        Assert.Null(await OpenAsync([0xC3, 0x28]));
        Assert.Null(await OpenAsync([]));

        ValueTask<RefreshToken?> OpenAsync(byte[] plaintext) =>
            protector.UnprotectRefreshTokenAsync(Here, 7, new ProtectedText(key.Id, SealedBytes.Seal(instanceKey, plaintext, place)), None);
    }

    [Fact]
    public async Task A_token_of_the_wrong_kind_or_no_text_is_refused_without_showing_it()
    {
        var kind = await Assert.ThrowsAsync<ArgumentException>(
            () => _protector.ProtectAsync(Here, TokenField.RefreshToken, 7, new AccessToken("a-token"), None).AsTask());
        var unicode = await Assert.ThrowsAsync<ArgumentException>(() => SealAsync("a-token-\uD800"));
        await Assert.ThrowsAsync<ArgumentException>(
            () => _protector.ProtectAsync(Here, TokenField.RefreshToken, 7, new AppSecret("a-token"), None).AsTask());

        Assert.Contains("another kind than the field", kind.Message, StringComparison.Ordinal);
        Assert.Contains("not well-formed Unicode", unicode.Message, StringComparison.Ordinal);
        Assert.All([kind, unicode], exception =>
        {
            Assert.DoesNotContain("a-token", exception.ToString(), StringComparison.Ordinal);
            Assert.DoesNotContain("D800", exception.ToString(), StringComparison.OrdinalIgnoreCase);
        });
    }

    [Fact]
    public async Task Many_threads_may_use_it_at_once()
    {
        var tokens = await Task.WhenAll(Enumerable.Range(0, 200).Select(i => Task.Run(async () => await OpenAsync(await SealAsync($"token-{i}")))));

        Assert.Equal(Enumerable.Range(0, 200).Select(i => $"token-{i}"), tokens.Select(token => token?.Reveal()));
    }

    private Task<ProtectedText> SealAsync(string text) =>
        _protector.ProtectAsync(Here, TokenField.RefreshToken, 7, new RefreshToken(text), None).AsTask();

    private Task<RefreshToken?> OpenAsync(ProtectedText text) => _protector.UnprotectRefreshTokenAsync(Here, 7, text, None).AsTask();
}

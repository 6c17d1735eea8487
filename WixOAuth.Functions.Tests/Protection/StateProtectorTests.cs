using System.Buffers.Text;
using System.Security.Cryptography;
using CsCheck;
using WixOAuth.Protection;
using WixOAuth.Secrets;

namespace WixOAuth.Functions.Tests.Protection;

public sealed class StateProtectorTests
{
    internal static readonly string[] Purposes = [StatePurpose.InstallState, StatePurpose.InstallCookie, StatePurpose.InstallLink];

    private const string Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    private static readonly CancellationToken None = CancellationToken.None;

    private readonly FixedKeys _keys = new(FixedKeys.NewKey());

    [Fact]
    public Task Any_payload_is_read_back_for_its_purpose_and_associated_data_only() =>
        Gen.Select(Gen.Byte.Array[0, 400], Gen.Byte.Array[0, 40], Gen.Int[0, Purposes.Length - 1].Select(number => Purposes[number])).SampleAsync(async (payload, data, purpose) =>
        {
            var protector = new StateProtector(_keys);
            var text = await protector.ProtectAsync(purpose, payload, data, None);

            foreach (var each in Purposes)
            {
                Assert.Equal(each == purpose ? payload : null, await protector.UnprotectAsync(each, text, data, None));
            }

            Assert.Null(await protector.UnprotectAsync(purpose, text, data.Append((byte)0).ToArray(), None));
            Assert.All(text, c => Assert.Contains(c, Alphabet));
        }, iter: 300);

    [Fact]
    public async Task A_state_of_24_bytes_has_92_characters() => Assert.Equal(92, (await SealAsync(24)).Length);

    // With the 45 bytes round them, these leave two, four and no bits of the last character unused.
    [Theory]
    [InlineData(22)]
    [InlineData(23)]
    [InlineData(24)]
    public async Task Every_change_of_a_single_character_makes_it_nothing(int length)
    {
        var text = await SealAsync(length);
        var protector = new StateProtector(new AnyId(await _keys.GetCurrentAsync(None)));

        for (var i = 0; i < text.Length; i++)
        {
            foreach (var c in Alphabet + "=+/%. \n\0é")
            {
                var changed = text[..i] + c + text[(i + 1)..];
                Assert.Equal(changed == text, await protector.UnprotectAsync(StatePurpose.InstallState, changed, default, None) is not null);
            }
        }
    }

    [Fact]
    public async Task Every_truncation_and_addition_makes_it_nothing()
    {
        var text = await SealAsync(24);

        for (var length = 0; length < text.Length; length++)
        {
            Assert.Null(await OpenAsync(text[..length]));
            Assert.Null(await OpenAsync(text[^length..]));
        }

        foreach (var c in Alphabet + "=% \n")
        {
            Assert.Null(await OpenAsync(text + c));
            Assert.Null(await OpenAsync(c + text));
            Assert.Null(await OpenAsync(text[..40] + c + text[40..]));
        }

        Assert.NotNull(await OpenAsync(text));
    }

    [Fact]
    public Task No_invented_text_opens() =>
        Gen.OneOf(Any.Text, Gen.Byte.Array[0, 200].Select(bytes => Base64Url.EncodeToString(bytes)))
            .SampleAsync(async text => Assert.Null(await OpenAsync(text)), iter: 1000);

    [Fact]
    public async Task A_missing_text_opens_as_null() => Assert.Null(await OpenAsync(null));

    [Fact]
    public async Task The_longest_payload_fits_and_one_byte_more_is_refused()
    {
        var text = await SealAsync(StateProtector.MaxPayloadLength);

        Assert.Equal(StateProtector.MaxTextLength, text.Length);
        Assert.NotNull(await OpenAsync(text));
        var refusal = await Assert.ThrowsAsync<ArgumentException>(() => SealAsync(StateProtector.MaxPayloadLength + 1));
        Assert.Contains($"at most {StateProtector.MaxPayloadLength} bytes", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_text_too_long_too_short_or_of_another_version_is_refused_without_a_key()
    {
        var protector = new StateProtector(new NoKeys());
        var text = await SealAsync(24);
        var bytes = Base64Url.DecodeFromChars(text);
        bytes[0] = 2;

        string?[] texts = [null, "", "A", new('A', StateProtector.MaxTextLength + 1), text[..59], text + "=", Base64Url.EncodeToString(bytes)];
        foreach (var each in texts)
        {
            Assert.Null(await protector.UnprotectAsync(StatePurpose.InstallState, each, default, None));
        }

        await Assert.ThrowsAsync<SecretUnavailableException>(
            () => protector.UnprotectAsync(StatePurpose.InstallState, text, default, None).AsTask());
    }

    [Fact]
    public async Task An_older_key_still_opens_and_another_key_does_not()
    {
        var old = await _keys.GetCurrentAsync(None);
        var text = await SealAsync(24);

        Assert.NotNull(await new StateProtector(new FixedKeys(old, FixedKeys.NewKey()))
            .UnprotectAsync(StatePurpose.InstallState, text, default, None));
        Assert.Null(await new StateProtector(new FixedKeys(FixedKeys.NewKey()))
            .UnprotectAsync(StatePurpose.InstallState, text, default, None));
        Assert.Null(await new StateProtector(new FixedKeys(FixedKeys.NewKey(old.Id)))
            .UnprotectAsync(StatePurpose.InstallState, text, default, None));
    }

    [Fact]
    public async Task Many_threads_may_use_it_at_once()
    {
        var lengths = await Task.WhenAll(Enumerable.Range(0, 200).Select(i => Task.Run(async () => (await OpenAsync(await SealAsync(i)))?.Length)));

        Assert.Equal(Enumerable.Range(0, 200).Select(i => (int?)i), lengths);
    }

    private Task<string> SealAsync(int length) =>
        new StateProtector(_keys)
            .ProtectAsync(StatePurpose.InstallState, RandomNumberGenerator.GetBytes(length), default, None).AsTask();

    private Task<byte[]?> OpenAsync(string? text) =>
        new StateProtector(_keys).UnprotectAsync(StatePurpose.InstallState, text, default, None).AsTask();

    /// <summary>Gives the key under any id, so that a changed id must be found by the encryption itself.</summary>
    private sealed class AnyId(ProtectionKey key) : IKeyRing
    {
        public ValueTask<ProtectionKey> GetCurrentAsync(CancellationToken cancellationToken) => new(key);

        public ValueTask<ProtectionKey?> FindAsync(string id, CancellationToken cancellationToken) => new(key);
    }

    private sealed class NoKeys : IKeyRing
    {
        public ValueTask<ProtectionKey> GetCurrentAsync(CancellationToken cancellationToken) => throw new SecretUnavailableException("The secret is not available.");

        public ValueTask<ProtectionKey?> FindAsync(string id, CancellationToken cancellationToken) => throw new SecretUnavailableException("The secret is not available.");
    }
}

using System.Reflection;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Settings;

namespace WixOAuth.Functions.Tests.Secrets;

public sealed class SecretTextTests
{
    private const string Value = "s3cret-value-nobody-may-see";

    private static readonly Action<ILogger, object, object, Exception?> LogSecret =
        LoggerMessage.Define<object, object>(LogLevel.Error, default, "{Secret} and {@Structure}");

    private static readonly JsonSerializerOptions WithFields = new() { IncludeFields = true };

    private static readonly IEnumerable<Type> AllKinds =
        typeof(SecretText).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(SecretText)) && !type.IsAbstract);

    public static TheoryData<Type> Kinds => [.. AllKinds];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_secret_is_never_printed(Type kind)
    {
        var secret = Make(kind, Value);
        using var logs = new CapturedLogs();
        LogSecret(logs.For<SecretTextTests>(), secret, new { secret }, new InvalidOperationException($"with {secret}"));

        string[] seen =
        [
            secret.ToString(),
            $"{secret} {secret,40} {secret:X}",
            string.Format(null, "{0:G}", secret),
            "" + secret,
            new InvalidOperationException($"with {secret}").ToString(),
            new ArgumentOutOfRangeException(nameof(kind), secret, "message").ToString(),
            new KeyValuePair<string, SecretText>("key", secret).ToString(),
            (secret, 1).ToString(),
            new { secret }.ToString()!,
            new Holder(secret, [secret]).ToString(),
            JsonSerializer.Serialize(secret),
            JsonSerializer.Serialize(secret, kind),
            JsonSerializer.Serialize<object>(secret, WithFields),
            JsonSerializer.Serialize(new Holder(secret, [secret])),
            JsonSerializer.Serialize(new Dictionary<string, object> { ["key"] = secret }),
            logs.Everything,
        ];

        Assert.All(seen, text => Assert.DoesNotContain(Value, text, StringComparison.Ordinal));
        Assert.Contains("[redacted]", logs.Everything, StringComparison.Ordinal);
        Assert.Equal(Value, secret.Reveal());
    }

    [Fact]
    public void Every_kind_of_secret_is_tested() =>
        Assert.Superset(
            new HashSet<Type> { typeof(AccessToken), typeof(RefreshToken), typeof(AuthorizationCode), typeof(AppSecret), typeof(ConnectionString) },
            AllKinds.ToHashSet());

    [Fact]
    public void Only_Reveal_returns_the_text()
    {
        var secret = new AppSecret(Value);
        var given = typeof(SecretText).GetMembers(BindingFlags.Public | BindingFlags.Instance)
            .OfType<MethodInfo>().Where(method => method.ReturnType == typeof(string) && method.GetParameters().Length == 0)
            .Where(method => ((string)method.Invoke(secret, null)!).Contains(Value, StringComparison.Ordinal));

        Assert.Equal([nameof(SecretText.Reveal)], given.Select(method => method.Name));
        Assert.Empty(typeof(SecretText).GetProperties());
    }

    [Fact]
    public void Records_with_secrets_show_none()
    {
        var version = new AppSecretVersion("v1", new AppSecret(Value));

        Assert.Equal("AppSecretVersion { Version = v1, Value = [redacted] }", version.ToString());
        Assert.DoesNotContain(Value, JsonSerializer.Serialize(version), StringComparison.Ordinal);
    }

    [Fact]
    public void A_protection_key_shows_its_id_only()
    {
        var bytes = Enumerable.Range(1, 32).Select(i => (byte)i).ToArray();
        var key = new ProtectionKey(ProtectionKey.IdOf(bytes), bytes);

        Assert.Equal(key.Id, $"{key}");
        Assert.NotEqual(key.Derive("tokens").ToArray(), key.Derive("install-state").ToArray());
        Assert.DoesNotContain(key.Id, Convert.ToHexStringLower(bytes), StringComparison.Ordinal);
    }

    [Fact]
    public void Equal_are_the_same_text_of_the_same_kind()
    {
        Assert.Equal(new AccessToken(Value), new AccessToken(Value));
        Assert.Equal(new AccessToken(Value).GetHashCode(), new AccessToken(Value).GetHashCode());
        Assert.NotEqual(new AccessToken(Value), new AccessToken(Value + "x"));
        Assert.False(new AccessToken(Value).Equals((object)new RefreshToken(Value)));
        Assert.False(new AccessToken(Value).Equals(null));
    }

    // "abc" of FIPS 180-2, appendix B.1.
    [Fact]
    public void The_fingerprint_is_SHA_256_in_lower_case_hexadecimal() =>
        Assert.Equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", new AccessToken("abc").Fingerprint());

    [Fact]
    public void An_empty_secret_is_refused() => Assert.Throws<ArgumentException>(() => new AccessToken(""));

    private static SecretText Make(Type kind, string text) => (SecretText)Activator.CreateInstance(kind, text)!;

    private sealed record Holder(SecretText Secret, IReadOnlyList<SecretText> Secrets);
}

using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using WixOAuth.Http;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Settings;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Conventions;

/// <summary>
/// Whatever of the core can print itself is filled with a secret wherever one can be in it, and printed. A type that is
/// added tomorrow is found by itself.
/// </summary>
public sealed class SecrecyTests
{
    private const string Secret = "s3cret-value-nobody-may-see-0123456789";

    /// <summary>Texts that let their bearer do something, though they are no <see cref="SecretText"/>.</summary>
    private static readonly string[] s_secretNames =
        ["AccessToken", "RefreshToken", "Token", "Code", "State", "Start", "Secret", "Key", "Value", "Password", "Cookie", "Cookies", "ConnectionString"];

    /// <summary>Members that are named like a secret and are not one.</summary>
    private static readonly (Type Type, string Name)[] s_harmless =
        [(typeof(ProblemBody), nameof(ProblemBody.Code)), (typeof(InstanceBody), nameof(InstanceBody.RefreshToken))];

    /// <summary>What is a secret by what it holds, not by its name.</summary>
    private static readonly (Type Type, string Name)[] s_harmful = [(typeof(LinkBody), nameof(LinkBody.Url))];

    private static readonly IReadOnlyList<Type> s_printing =
        [.. typeof(ServiceRegistration).Assembly.GetTypes().Where(type => !type.IsAbstract && !type.ContainsGenericParameters && !type.IsEnum && PrintsItself(type))];

    public static TheoryData<Type> Printing() => [.. s_printing];

    [Theory]
    [MemberData(nameof(Printing))]
    public void ToString_prints_no_secret(Type type) => AssertSilent(Fill(type, depth: 0).ToString()!);

    [Fact]
    public void The_list_contains_every_type_that_holds_a_secret()
    {
        Type[] known =
        [
            typeof(AccessToken), typeof(RefreshToken), typeof(AppSecret), typeof(AuthorizationCode), typeof(ConnectionString), typeof(BrowserUrl), typeof(InstallToken), typeof(ProtectionKey),
            typeof(ProtectedText), typeof(AppSecretVersion), typeof(TokenAnswer.Granted), typeof(TokenResult.Token), typeof(TokenRequirements), typeof(InstallCookie), typeof(InstallState),
            typeof(RedirectRequest), typeof(InstallResult.Consent), typeof(InstallResult.CloseWindow), typeof(TokenBody), typeof(LinkBody), typeof(Instance),
            typeof(WixResponse),
        ];
        Assert.Superset(known.ToHashSet(), s_printing.ToHashSet());
    }

    // What wraps a secret and does not print itself would print its type's name, which is as good.
    [Fact]
    public void Every_type_of_Secrets_that_wraps_one_is_silent_however_it_is_written_out()
    {
        var wrapping = typeof(SecretText).Assembly.GetTypes()
            .Where(type => type.Namespace is "WixOAuth.Secrets" or "WixOAuth.Protection" && !type.IsAbstract && !type.ContainsGenericParameters && !type.IsDefined(typeof(CompilerGeneratedAttribute)))
            .Where(type => type.IsSubclassOf(typeof(SecretText)) || FieldsOf(type).Any(field => field.FieldType == typeof(byte[]) || field.FieldType.IsSubclassOf(typeof(SecretText)) || field.FieldType == typeof(ProtectionKey)))
            .ToList();

        Assert.Superset(new HashSet<Type> { typeof(AccessToken), typeof(ProtectionKey), typeof(AppSecretVersion), typeof(ProtectionKeys) }, wrapping.ToHashSet());
        Assert.All(wrapping, type =>
        {
            var filled = Fill(type, depth: 0);
            AssertSilent(filled.ToString()!);
            AssertSilent($"{filled} {new { filled }}");
            AssertSilent(Serialized(filled));
        });
    }

    // That the tests above can fail.
    [Fact]
    public void A_record_that_shows_a_secret_is_found()
    {
        Assert.ThrowsAny<Exception>(() => AssertSilent(Fill(typeof(Careless), depth: 0).ToString()!));
        Assert.ThrowsAny<Exception>(() => AssertSilent(Fill(typeof(Outer), depth: 0).ToString()!));
        AssertSilent(Fill(typeof(Careful), depth: 0).ToString()!);
    }

    private static bool PrintsItself(Type type) =>
        !type.IsDefined(typeof(CompilerGeneratedAttribute))
        && (type.GetMethod(nameof(ToString), []) is { } print && print.DeclaringType?.Assembly == typeof(ServiceRegistration).Assembly);

    private static void AssertSilent(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(Secret);
        foreach (var form in new[] { Secret, Convert.ToBase64String(bytes)[..40], Convert.ToHexString(bytes), string.Join(", ", bytes.Take(8)) })
        {
            Assert.DoesNotContain(form, text, StringComparison.OrdinalIgnoreCase);
        }
    }

    // One that cannot be serialised says why, which must be silent too.
    private static string Serialized(object value)
    {
        try
        {
            return JsonSerializer.Serialize(value, value.GetType());
        }
        catch (Exception exception) when (exception is InvalidOperationException or NotSupportedException)
        {
            return exception.ToString();
        }
    }

    // Field by field, past constructors that would refuse.
    private static object Fill(Type type, int depth)
    {
        if (type.IsSubclassOf(typeof(SecretText)))
        {
            return Activator.CreateInstance(type, Secret)!;
        }

        if (type == typeof(ProtectionKey))
        {
            return new ProtectionKey(new string('a', 32), Encoding.UTF8.GetBytes(Secret).AsSpan(0, ProtectionKey.Length));
        }

        var filled = RuntimeHelpers.GetUninitializedObject(type);
        foreach (var field in FieldsOf(type))
        {
            field.SetValue(filled, ValueOf(type, field.Name.TrimStart('<').Split('>')[0].TrimStart('_'), field.FieldType, depth));
        }

        return filled;
    }

    private static object? ValueOf(Type owner, string name, Type type, int depth) => type switch
    {
        _ when Nullable.GetUnderlyingType(type) is { } underlying => ValueOf(owner, name, underlying, depth),
        _ when type == typeof(string) => IsSecret(owner, name) ? Secret : "text",
        _ when type == typeof(byte[]) => Encoding.UTF8.GetBytes(Secret),
        _ when type == typeof(ReadOnlyMemory<byte>) => new ReadOnlyMemory<byte>(Encoding.UTF8.GetBytes(Secret)),
        _ when type == typeof(JsonElement) => JsonSerializer.SerializeToElement(new { access_token = Secret }),
        _ when type == typeof(KeyValuePair<string, string>) => KeyValuePair.Create("name", IsSecret(owner, name) ? Secret : "text"),
        { IsGenericType: true } when type.GetGenericTypeDefinition() == typeof(IReadOnlyList<>) => ListOf(type.GenericTypeArguments[0], ValueOf(owner, name, type.GenericTypeArguments[0], depth)),
        { IsAbstract: false, IsClass: true } when type.Namespace?.StartsWith("WixOAuth", StringComparison.Ordinal) == true && depth < 4 => Fill(type, depth + 1),
        { IsValueType: true } => Activator.CreateInstance(type),
        _ => null,
    };

    private static Array ListOf(Type type, object? element)
    {
        var list = Array.CreateInstance(type, 1);
        list.SetValue(element, 0);
        return list;
    }

    private static bool IsSecret(Type owner, string name) =>
        (s_secretNames.Contains(name, StringComparer.OrdinalIgnoreCase) && !s_harmless.Contains((owner, name))) || s_harmful.Contains((owner, name));

    private static IEnumerable<FieldInfo> FieldsOf(Type type) => type.BaseType is { } parent
        ? FieldsOf(parent).Concat(type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
        : [];

    private sealed record Careless(string AccessToken);

    private sealed record Outer(string Name, Careless Inner);

    private sealed record Careful(AccessToken AccessToken);
}

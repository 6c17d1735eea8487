using System.Reflection;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Storage;

/// <summary>Values to store.</summary>
internal static class Samples
{
    /// <summary>A time with all its ticks.</summary>
    public static readonly DateTimeOffset Noon = new DateTimeOffset(2026, 3, 4, 12, 0, 0, TimeSpan.Zero).AddTicks(1_234_567);

    public static InstanceId NewId() => new(Guid.NewGuid());

    public static Instance NewInstance(InstanceId? id = null) => new()
    {
        Id = id ?? NewId(),
        Status = InstanceStatus.Active,
        Generation = 1,
        InstalledAt = Noon,
        UpdatedAt = Noon,
    };

    public static ConsumedState NewConsumedState(DateTimeOffset? issuedAt = null, string? nonce = null) => new()
    {
        Nonce = nonce ?? Guid.NewGuid().ToString("N"),
        IssuedAt = issuedAt ?? Noon,
        AttemptId = Guid.NewGuid().ToString("N"),
        CodeFingerprint = new string('a', 64),
        InstanceId = NewId(),
    };

    /// <summary>The properties of a record that can be set, a property that is added tomorrow included.</summary>
    public static IEnumerable<PropertyInfo> PropertiesOf<T>() => typeof(T).GetProperties().Where(property => property.SetMethod is not null);

    /// <summary>A value of any type that instances are made of, which is no default and differs with its name.</summary>
    public static object ValueOf(string name, Type type)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        var number = name.Sum(c => c);
        return type switch
        {
            _ when type == typeof(string) => $"{name} ąß 漢字 \U0001F600 '\"<|/\\#?",
            _ when type == typeof(DateTimeOffset) => Noon.AddTicks((number * 1_000_000_007L) + 1),
            _ when type == typeof(bool) => true,
            _ when type == typeof(int) => number,
            _ when type == typeof(long) => (long.MaxValue / 2) + number,
            _ when type == typeof(InstanceId) => NewId(),
            _ when type == typeof(ProtectedText) => new ProtectedText(name, new byte[] { 0, 255, 13, 10, (byte)number }),
            { IsEnum: true } => Enum.GetValues(type).GetValue(Enum.GetValues(type).Length - 1)!,
            { IsClass: true } => Record(type),
            _ => throw new NotSupportedException($"Say here what a {type} may look like."),
        };

        static object Record(Type type)
        {
            var constructor = type.GetConstructors().Single();
            return constructor.Invoke([.. constructor.GetParameters().Select(parameter => ValueOf(parameter.Name!, parameter.ParameterType))]);
        }
    }
}

using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace WixOAuth.Instances;

/// <summary>How the contract and the table write a choice: <c>ReinstallRequired</c> as <c>reinstall_required</c>.</summary>
internal static class SnakeCaseEnum
{
    public static string Of<T>(T value)
        where T : struct, Enum =>
        Table<T>.Texts.TryGetValue(value, out var text) ? text : throw new ArgumentOutOfRangeException(nameof(value), value, null);

    public static T? Parse<T>(string text)
        where T : struct, Enum =>
        Table<T>.Values.TryGetValue(text, out var value) ? value : null;

    private static class Table<T>
        where T : struct, Enum
    {
        public static readonly Dictionary<T, string> Texts =
            Enum.GetValues<T>().ToDictionary(value => value, value => TextOf(value.ToString()));

        public static readonly Dictionary<string, T> Values =
            Texts.ToDictionary(pair => pair.Value, pair => pair.Key, StringComparer.Ordinal);

        // The attribute keeps a public word whose name in the code has changed.
        private static string TextOf(string name) =>
            typeof(T).GetField(name)!.GetCustomAttribute<JsonStringEnumMemberNameAttribute>()?.Name ?? JsonNamingPolicy.SnakeCaseLower.ConvertName(name);
    }
}

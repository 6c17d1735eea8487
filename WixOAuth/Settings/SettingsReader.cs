using System.Globalization;
using System.Text.RegularExpressions;
using Microsoft.Extensions.Configuration;

namespace WixOAuth.Settings;

/// <summary>
/// Reads settings and collects all errors, so that a failed start names every bad setting
/// at once. A problem never repeats the value: it may be a secret that was pasted into the wrong place.
/// </summary>
internal sealed partial class SettingsReader(IConfiguration configuration)
{
    /// <summary>What a required secret should be.</summary>
    public const string OrVault = "should be given, or KeyVault__VaultUri with the vault that holds it";

    private readonly List<string> _problems = [];
    private readonly HashSet<string> _names = new(StringComparer.OrdinalIgnoreCase);

    public IReadOnlyList<string> Problems => _problems;

    /// <summary>Every name that was looked up, given or not.</summary>
    public IReadOnlySet<string> Names => _names;

    public void Problem(string name, string shouldBe) => _problems.Add($"{name} {shouldBe}.");

    public string? Text(string name)
    {
        _names.Add(name);
        var value = configuration[name.Replace("__", ":", StringComparison.Ordinal)]?.Trim();
        return value is "" ? null : value;
    }

    /// <summary>A value; <paramref name="otherwise"/> where none is given, which is a problem if <paramref name="whenMissing"/> names it.</summary>
    public T Parse<T>(string name, T otherwise, string shouldBe, Func<string, (bool Good, T Value)> parse, string? whenMissing = null)
    {
        if (Text(name) is not { } text)
        {
            if (whenMissing is not null)
            {
                Problem(name, whenMissing);
            }

            return otherwise;
        }

        var (good, value) = parse(text);
        if (!good)
        {
            Problem(name, shouldBe);
            return otherwise;
        }

        return value;
    }

    /// <summary>A secret. With a vault it is read from there, and must not be given as well.</summary>
    public T? Secret<T>(string name, string? whenMissing, string shouldBe, Func<string, (bool Good, T? Value)> parse)
        where T : class
    {
        var isGiven = Text(name) is not null;
        if (Text("KeyVault__VaultUri") is null)
        {
            return Parse(name, null, shouldBe, parse, whenMissing);
        }

        if (isGiven)
        {
            Problem(name, $"should not be given together with KeyVault__VaultUri: put it into the vault under the name of {name}Name");
        }

        return null;
    }

    /// <summary>Whether a text is a reference to Key Vault, which App Service replaces by the secret where it can.</summary>
    public static bool IsVaultReference(string? text) => text?.StartsWith("@Microsoft.KeyVault(", StringComparison.OrdinalIgnoreCase) == true;

    public string SecretName(string name, string otherwise) =>
        Parse(name, otherwise, "should be 1 to 127 letters, digits and hyphens", text => (VaultName().IsMatch(text), text));

    public TimeSpan Span(string name, TimeSpan otherwise, TimeSpan least, TimeSpan most) =>
        Parse(
            name,
            otherwise,
            $"should be a time as hh:mm:ss, or d.hh:mm:ss from a day on, from {least:c} to {most:c}",
            // TryParseExact with "c", because TryParse reads 48:00:00 as 48 days.
            text => (TimeSpan.TryParseExact(text, "c", CultureInfo.InvariantCulture, out var value)
                && text.Contains(':', StringComparison.Ordinal) && value >= least && value <= most, value));

    public int Number(string name, int otherwise, int least, int most) =>
        Parse(
            name,
            otherwise,
            $"should be a whole number from {least} to {most}",
            text => (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value)
                && value >= least && value <= most, value));

    public bool Flag(string name, bool otherwise) =>
        Parse(name, otherwise, "should be true or false", text => (bool.TryParse(text, out var value), value));

    public T OneOf<T>(string name, T otherwise)
        where T : struct, Enum =>
        Parse(
            name,
            otherwise,
            $"should be {string.Join(", ", Enum.GetNames<T>()[..^1])} or {Enum.GetNames<T>()[^1]}",
            // By name only: Enum.TryParse also takes numbers and lists.
            text => Enum.GetNames<T>().FirstOrDefault(each => each.Equals(text, StringComparison.OrdinalIgnoreCase)) is { } found
                ? (true, Enum.Parse<T>(found))
                : (false, otherwise));

    /// <summary>An absolute https URL without query or fragment; http only on this machine. A slash at its end is taken off.</summary>
    public Uri? Url(string name, Uri? otherwise) => ParseUrl(name, otherwise, text => text.TrimEnd('/'));

    /// <summary>As <see cref="Url"/>, but exactly as it was given, for URLs that others compare.</summary>
    public Uri? ExactUrl(string name, bool mayHaveQuery = false, string? whenMissing = null) =>
        ParseUrl(name, otherwise: null, text => text, mayHaveQuery, whenMissing);

    private Uri? ParseUrl(string name, Uri? otherwise, Func<string, string> normalize, bool mayHaveQuery = false, string? whenMissing = null) => Parse(
        name,
        otherwise,
        $"should be an absolute https URL without {(mayHaveQuery ? "" : "query or ")}fragment (http only for localhost)",
        text => (Uri.TryCreate(normalize(text), UriKind.Absolute, out var url)
            && (url.Scheme == Uri.UriSchemeHttps || (url.Scheme == Uri.UriSchemeHttp && url.IsLoopback))
            && url.Host.Length > 0
            && url.UserInfo.Length == 0
            && (mayHaveQuery || url.Query.Length == 0)
            && url.Fragment.Length == 0, url),
        whenMissing);

    [GeneratedRegex(@"\A[A-Za-z0-9-]{1,127}\z")]
    private static partial Regex VaultName();
}

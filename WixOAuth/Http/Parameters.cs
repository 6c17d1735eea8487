using System.Diagnostics.CodeAnalysis;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;

namespace WixOAuth.Http;

/// <summary>Reads query parameters: each at most once, and none longer than a request line can be.</summary>
internal static class Parameters
{
    /// <summary>The longest value taken: the real Functions host passes no longer request line on (wix-protocol §4).</summary>
    public const int MaxLength = 8_192;

    /// <summary>The Functions host's own parameter, a function key. It is allowed at every endpoint.</summary>
    private const string Key = "code";

    private const int LongestNameShown = 100;

    /// <summary>Reads parameters by name; null for one that is missing or empty. False when any of them came twice or is too long. Others are ignored.</summary>
    public static bool TryRead(HttpRequest request, ReadOnlySpan<string> names, [NotNullWhen(true)] out Dictionary<string, string?>? values)
    {
        values = new Dictionary<string, string?>(names.Length, StringComparer.Ordinal);
        foreach (var name in names)
        {
            var found = request.Query[name];
            if (found.Count > 1 || found is [{ Length: > MaxLength }])
            {
                values = null;
                return false;
            }

            values.Add(name, found is [{ Length: > 0 } value] ? value : null);
        }

        return true;
    }

    /// <summary>Reads all parameters. False, with the problem to answer, when one is unknown, repeated or too long.</summary>
    public static bool TryReadAll(
        HttpRequest request, string[] names, [NotNullWhen(true)] out Dictionary<string, string?>? values, [NotNullWhen(false)] out IResult? refusal)
    {
        values = null;
        refusal = RefuseUnknown(request, names);
        if (refusal is null && !TryRead(request, names, out values))
        {
            refusal = Problems.InvalidRequest($"Each parameter should be given at most once, with at most {MaxLength} characters.");
        }

        return refusal is null;
    }

    /// <summary>The problem for a request with a parameter that is not in <paramref name="names"/>; null when there is none.</summary>
    public static IResult? RefuseUnknown(HttpRequest request, params string[] names) =>
        request.QueryString.HasValue
        && request.Query.Keys.FirstOrDefault(name => !names.Append(Key).Contains(name, StringComparer.OrdinalIgnoreCase)) is { } unknown
            ? Problems.InvalidRequest($"The parameter {unknown[..Math.Min(unknown.Length, LongestNameShown)]} is not known here.")
            : null;

    /// <summary>
    /// A parameter's value with its percent-encoding undone and nothing else: forms write a space as <c>+</c>, but what Wix
    /// sends is to be sent back as it was. Null when it is missing or empty.
    /// </summary>
    public static string? Raw(HttpRequest request, string name)
    {
        foreach (var pair in new QueryStringEnumerable(request.QueryString.Value))
        {
            if (pair.DecodeName().Span.Equals(name, StringComparison.OrdinalIgnoreCase))
            {
                return pair.EncodedValue.Length > 0 ? Uri.UnescapeDataString(pair.EncodedValue.Span) : null;
            }
        }

        return null;
    }
}

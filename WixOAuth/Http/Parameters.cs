using System.Diagnostics.CodeAnalysis;
using Microsoft.AspNetCore.Http;

namespace WixOAuth.Http;

/// <summary>Reads query parameters with suspicion: each at most once, and none longer than a request line can be.</summary>
internal static class Parameters
{
    /// <summary>The longest value taken: the real Functions host passes no longer request line on (wix-protocol §4).</summary>
    public const int MaxLength = 8_192;

    /// <summary>False when a parameter came twice or is too long. One that is missing or empty is null.</summary>
    public static bool TryRead(HttpRequest request, string name, out string? value)
    {
        var values = request.Query[name];
        value = values.Count == 0 || string.IsNullOrEmpty(values[0]) ? null : values[0];
        return values.Count <= 1 && !(value?.Length > MaxLength);
    }

    /// <summary>Reads several; false when any of them came twice or is too long.</summary>
    public static bool TryRead(HttpRequest request, ReadOnlySpan<string> names, [NotNullWhen(true)] out string?[]? values)
    {
        values = new string?[names.Length];
        for (var i = 0; i < names.Length; i++)
        {
            if (!TryRead(request, names[i], out values[i]))
            {
                values = null;
                return false;
            }
        }

        return true;
    }
}

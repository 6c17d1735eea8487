using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;

namespace WixOAuth.Http;

/// <summary>Reads the small bodies that are taken.</summary>
internal static class BodyReader
{
    /// <summary>The longest body taken, in bytes.</summary>
    public const int MaxLength = 16_384;

    /// <summary>Null for a body that is longer, breaks off or breaks the rules of HTTP.</summary>
    public static async Task<ReadOnlyMemory<byte>?> ReadAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        if (request.ContentLength > MaxLength)
        {
            return null;
        }

        var buffer = new byte[(request.ContentLength ?? MaxLength) + 1];
        try
        {
            var length = await request.Body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken);
            return length <= MaxLength ? buffer.AsMemory(0, length) : null;
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <summary>Null for a body that is not JSON of this type.</summary>
    public static async Task<T?> ReadJsonAsync<T>(HttpRequest request, JsonTypeInfo<T> type, CancellationToken cancellationToken)
        where T : class
    {
        try
        {
            return await ReadAsync(request, cancellationToken) is { } body ? JsonSerializer.Deserialize(body.Span, type) : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // The second for a lone surrogate, which is well-formed JSON but no text.
            return null;
        }
    }
}

using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;

namespace WixOAuth.Http;

internal static class BodyReader
{
    /// <summary>In bytes.</summary>
    public const int MaxLength = 16_384;

    /// <summary>Reads a body; null for one that is too long, breaks off or breaks the rules of HTTP.</summary>
    public static async Task<(ReadOnlyMemory<byte>? Body, bool IsTooLong)> ReadAsync(HttpRequest request, int maxLength, CancellationToken cancellationToken)
    {
        // A body whose Content-Length is over the limit is not read.
        if (request.ContentLength > maxLength)
        {
            return (null, true);
        }

        // One byte more, to detect a longer body.
        var buffer = new byte[(request.ContentLength ?? maxLength) + 1];
        try
        {
            var length = await request.Body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken);
            return length > maxLength ? (null, true) : (buffer.AsMemory(0, length), false);
        }
        catch (IOException)
        {
            return (null, false);
        }
    }

    /// <summary>Null for a body that is not JSON of this type.</summary>
    public static async Task<T?> ReadJsonAsync<T>(HttpRequest request, JsonTypeInfo<T> type, CancellationToken cancellationToken)
        where T : class
    {
        try
        {
            return await ReadAsync(request, MaxLength, cancellationToken) is ({ } body, _) ? JsonSerializer.Deserialize(body.Span, type) : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // The second for a lone surrogate, which is well-formed JSON but no text.
            return null;
        }
    }
}

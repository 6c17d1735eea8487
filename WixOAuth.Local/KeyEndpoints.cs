using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text.Json;

namespace WixOAuth.Local;

/// <summary>
/// The part of the Functions host's key management that rotates function keys: <c>/admin/host/functionkeys</c>, with the
/// host's answers.
/// </summary>
internal sealed class KeyEndpoints(FunctionKeys keys)
{
    /// <summary>The address of all of them; one has its name added.</summary>
    public const string Route = "/admin/host/functionkeys";

    private const int LongestKey = 256;

    /// <summary><c>GET</c>: all named keys.</summary>
    public Task ListAsync(HttpContext context) =>
        context.Response.WriteAsJsonAsync(new KeyList([.. keys.Named.Select(key => new NamedKey(key.Key, key.Value))]));

    /// <summary><c>PUT</c> with <c>{"value":"…"}</c>, or <c>POST</c> for a value of the host's making: 201 for a new key, 200 for a new value.</summary>
    public async Task SetAsync(HttpContext context)
    {
        var name = NameIn(context);
        var value = HttpMethods.IsPost(context.Request.Method) ? Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(40)) : await ValueInAsync(context.Request);

        // What begins so is the host's own, the master key among them: here that is a setting.
        if (value is null or "" or { Length: > LongestKey } || name.StartsWith('_'))
        {
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            return;
        }

        if (TryChange(context, () => keys.Set(name, value) ? StatusCodes.Status201Created : StatusCodes.Status200OK))
        {
            await context.Response.WriteAsJsonAsync(new NamedKey(name, value));
        }
    }

    /// <summary><c>DELETE</c>: 204, or 404 where there is none of that name.</summary>
    public Task DeleteAsync(HttpContext context)
    {
        TryChange(context, () => keys.Delete(NameIn(context)) ? StatusCodes.Status204NoContent : StatusCodes.Status404NotFound);
        return Task.CompletedTask;
    }

    // Whoever rotates a key must not take an empty 200 for it.
    private static bool TryChange(HttpContext context, Func<int> change)
    {
        try
        {
            context.Response.StatusCode = change();
            return true;
        }
        catch (StartFailedException)
        {
            context.Response.StatusCode = StatusCodes.Status500InternalServerError;
            return false;
        }
    }

    private static string NameIn(HttpContext context) => (string)context.GetRouteValue("name")!;

    private static async Task<string?> ValueInAsync(HttpRequest request)
    {
        try
        {
            return (await JsonSerializer.DeserializeAsync<NamedKey>(request.Body, JsonSerializerOptions.Web, request.HttpContext.RequestAborted))?.Value;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private sealed record KeyList(IReadOnlyList<NamedKey> Keys);

    private sealed record NamedKey(string? Name, string? Value);
}

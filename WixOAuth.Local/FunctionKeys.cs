using System.Security.Cryptography;
using System.Text;

namespace WixOAuth.Local;

/// <summary>The one key that function-level and admin-level endpoints ask for: <c>Functions__Key</c>.</summary>
internal sealed class FunctionKeys(string key)
{
    private readonly byte[] _key = Encoding.UTF8.GetBytes(key);

    /// <summary>Whether a request shows the key: in the header, or where there is no header in the query.</summary>
    public bool AreShownBy(HttpRequest request)
    {
        var shown = request.Headers["x-functions-key"];
        if (shown.Count == 0)
        {
            shown = request.Query["code"];
        }

        return shown is [{ } text] && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(text), _key);
    }
}

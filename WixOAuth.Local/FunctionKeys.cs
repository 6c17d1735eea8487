using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace WixOAuth.Local;

/// <summary>
/// The keys that function-level endpoints ask for, as the Functions host keeps them: <c>Functions__Key</c>, which opens
/// everything as the host's own master key does, and named ones, which can be made and deleted while the program runs.
/// </summary>
internal sealed class FunctionKeys
{
    private const string FileName = "function-keys.json";

    private readonly Lock _writing = new();
    private readonly DataFolder _folder;
    private readonly Key _master;
    private volatile Dictionary<string, Key> _named;

    /// <summary>Takes the master key, and the named ones that an earlier run has left in the data folder.</summary>
    /// <exception cref="StartFailedException">The file with the named ones cannot be read.</exception>
    public FunctionKeys(string master, DataFolder folder)
    {
        (_master, _folder) = (new Key(master), folder);
        _named = Read(folder).ToDictionary(pair => pair.Key, pair => new Key(pair.Value), StringComparer.OrdinalIgnoreCase);
    }

    /// <summary>The named keys.</summary>
    public IEnumerable<KeyValuePair<string, string>> Named => _named.Select(pair => KeyValuePair.Create(pair.Key, pair.Value.Text));

    /// <summary>Whether a request shows a good key: in the header, or where there is no header in the query.</summary>
    /// <param name="request">The request.</param>
    /// <param name="onlyMaster">Whether no other than the master key will do.</param>
    public bool AreShownBy(HttpRequest request, bool onlyMaster)
    {
        var shown = request.Headers["x-functions-key"];
        if (shown.Count == 0)
        {
            shown = request.Query["code"];
        }

        return shown is [{ } text] && (_master.Is(text) || (!onlyMaster && _named.Values.Any(key => key.Is(text))));
    }

    /// <summary>Makes a named key or gives it another value; answers whether it is new.</summary>
    /// <exception cref="StartFailedException">The data folder cannot be written; nothing has changed.</exception>
    public bool Set(string name, string value) => Change(named =>
    {
        var isNew = !named.ContainsKey(name);
        named[name] = new Key(value);
        return isNew;
    });

    /// <summary>Deletes a named key; answers whether there was one.</summary>
    /// <exception cref="StartFailedException">The data folder cannot be written; nothing has changed.</exception>
    public bool Delete(string name) => Change(named => named.Remove(name));

    private bool Change(Func<Dictionary<string, Key>, bool> change)
    {
        lock (_writing)
        {
            var changed = new Dictionary<string, Key>(_named, StringComparer.OrdinalIgnoreCase);
            var answer = change(changed);
            _folder.Replace(FileName, JsonSerializer.Serialize(changed.ToDictionary(pair => pair.Key, pair => pair.Value.Text)));
            _named = changed;
            return answer;
        }
    }

    private static Dictionary<string, string> Read(DataFolder folder)
    {
        try
        {
            return folder.Find(FileName) is { } text ? JsonSerializer.Deserialize<Dictionary<string, string>>(text) ?? [] : [];
        }
        catch (JsonException exception)
        {
            // The message of a JsonException may quote what it stumbled over, which is a key here.
            throw new StartFailedException($"{FileName} in the data folder is not JSON (line {exception.LineNumber + 1}): mend or remove it.", exception);
        }
    }

    private sealed class Key(string text)
    {
        private readonly byte[] _bytes = Encoding.UTF8.GetBytes(text);

        public string Text => text;

        public override string ToString() => "(function key)";

        // Constant in where two keys of one length differ; the length is no secret.
        public bool Is(string shown)
        {
            if (shown.Length > _bytes.Length)
            {
                return false;
            }

            Span<byte> bytes = _bytes.Length <= 256 ? stackalloc byte[256] : new byte[_bytes.Length];
            return Encoding.UTF8.TryGetBytes(shown, bytes, out var length) && CryptographicOperations.FixedTimeEquals(bytes[..length], _bytes);
        }
    }
}

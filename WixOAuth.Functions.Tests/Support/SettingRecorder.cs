using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Primitives;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>Remembers what was asked for.</summary>
internal sealed class SettingRecorder(Dictionary<string, string?> values) : IConfiguration
{
    public HashSet<string> Names { get; } = [];

    public string? this[string key]
    {
        get
        {
            var name = key.Replace(":", "__", StringComparison.Ordinal);
            Names.Add(name);
            return values.GetValueOrDefault(name);
        }
        set => throw new NotSupportedException();
    }

    public IEnumerable<IConfigurationSection> GetChildren() => throw new NotSupportedException();

    public IChangeToken GetReloadToken() => throw new NotSupportedException();

    public IConfigurationSection GetSection(string key) => throw new NotSupportedException();
}

using System.Text.Json;

namespace WixOAuth.Local;

/// <summary>
/// local.settings.json as the Functions host reads it: the names and texts below "Values", nothing else of the file.
/// </summary>
internal sealed class SettingsFile
{
    private static readonly JsonDocumentOptions s_lenient = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    // What the Functions host, .NET, Azure's SDKs and OpenTelemetry read.
    private static readonly string[] s_othersPrefixes =
        ["APPINSIGHTS", "APPLICATIONINSIGHTS", "ASPNETCORE_", "AZURE_", "AzureFunctions", "AzureWebJobs", "DOTNET_", "FUNCTIONS_", "Logging", "OTEL_", "WEBSITE_"];

    private static readonly string[] s_hostNames =
    [
        "urls", "RefreshSchedule", "HousekeepingSchedule", "BackupSchedule", "Functions__Key", "Functions__DisableTimers", "Local__DataFolder", "Local__SettingsFile",
    ];

    private readonly List<string> _nested = [];
    private readonly string _path;
    private bool _hasValues;

    private SettingsFile(string path) => _path = path;

    /// <summary>The settings, with <c>:</c> as the separator.</summary>
    public Dictionary<string, string?> Values { get; } = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Reads the file; null where there is none.</summary>
    /// <exception cref="StartFailedException">The file is no JSON, or cannot be read.</exception>
    public static SettingsFile? Read(string path)
    {
        try
        {
            if (!File.Exists(path))
            {
                return null;
            }

            // A stream may begin with a byte order mark, which Windows' editors write; an array may not.
            using var content = File.OpenRead(path);
            using var document = JsonDocument.Parse(content, s_lenient);
            var file = new SettingsFile(path);
            if (document.RootElement.ValueKind == JsonValueKind.Object
                && document.RootElement.TryGetProperty(nameof(Values), out var found)
                && found.ValueKind == JsonValueKind.Object)
            {
                file._hasValues = true;
                foreach (var value in found.EnumerateObject())
                {
                    file.Add(value);
                }
            }

            return file;
        }
        catch (JsonException exception)
        {
            // The message of a JsonException may quote what it stumbled over, which may be a secret.
            throw new StartFailedException($"{path} is not JSON (line {exception.LineNumber + 1}).", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StartFailedException($"{path} cannot be read: {exception.Message}", exception);
        }
    }

    /// <summary>What of the file was ignored, a line each; never a value, which may be a secret.</summary>
    public IEnumerable<string> FindIgnored(IReadOnlySet<string> serviceNames)
    {
        if (!_hasValues)
        {
            yield return $"{_path} has no object \"Values\": nothing of it is used.";
        }

        foreach (var name in _nested)
        {
            yield return $"{name} in {_path} is not a string and is ignored: settings are written as \"Wix__AppId\": \"...\".";
        }

        foreach (var name in Values.Keys.Select(name => name.Replace(":", "__", StringComparison.Ordinal)))
        {
            if (!serviceNames.Contains(name)
                && !s_hostNames.Contains(name, StringComparer.OrdinalIgnoreCase)
                && !Array.Exists(s_othersPrefixes, prefix => name.StartsWith(prefix, StringComparison.OrdinalIgnoreCase)))
            {
                yield return $"{name} in {_path} is not a known setting and is ignored.";
            }
        }
    }

    private void Add(JsonProperty value)
    {
        if (value.Value.ValueKind is JsonValueKind.Object or JsonValueKind.Array or JsonValueKind.Null)
        {
            _nested.Add(value.Name);
            return;
        }

        Values[LocalSettings.Colons(value.Name)] = value.Value.ToString();
    }
}

using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace WixOAuth.Cli.Output;

/// <summary>Writes results to standard output: lines for people, or JSON for machines.</summary>
internal sealed class Results(CliEnvironment environment, bool json)
{
    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public static Option<bool> JsonOption() => new("--json") { Description = "Write results as JSON, one object on each line." };

    public void Write(string line, object value) => environment.Out.WriteLine(json ? JsonSerializer.Serialize(value, value.GetType(), s_json) : CliEnvironment.Printable(line));
}

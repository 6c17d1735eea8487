using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using StandardWebhooks;
using WixOAuth.Events;
using WixOAuth.Functions.Tests.Storage;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Events;

/// <summary>What docs/events.md shows: its examples compared with what is sent, its snippets run. WixOAuth.Client.Tests runs the C# one.</summary>
public sealed class EventsDocumentTests
{
    private const string Body = """{"type":"instance.connected","name":"Ünïcode"}""";

    private static readonly string s_document = Repository.Read("docs", "events.md");

    [Fact]
    public void The_examples_match_the_sent_events_one_of_each_type()
    {
        var examples = Regex.Match(s_document, "```jsonl\n(.*?)\n```", RegexOptions.Singleline).Groups[1].Value.Split('\n').Select(line => JsonNode.Parse(line)!).ToList();
        var types = Enum.GetValues<InstanceEventType>().ToDictionary(CloudEvent.TypeOf);
        Assert.Equal(types.Keys, examples.Select(example => (string)example["type"]!));
        foreach (var example in examples)
        {
            var (type, data) = ((string)example["type"]!, example["data"]!);
            Assert.Matches($"`{type}` \\|.*`{(string)data["reason"]!}`", s_document);
            Assert.True(InstanceId.TryParse((string)example["subject"]!, out var id));
            var sequence = long.Parse(((string)example["id"]!)[$"{id}-".Length..], CultureInfo.InvariantCulture);
            var occurred = new OutboxEvent(id, sequence, types[type], (string)data["reason"]!, DateTimeOffset.Parse((string)example["time"]!, CultureInfo.InvariantCulture));
            var site = data["site"]!;
            var instance = Samples.NewInstance(id) with { Customer = (string)data["customer"]!, Site = new Site((string)site["id"]!, (string)site["name"]!, (string)site["url"]!) };

            var sent = CloudEvent.Serialize(occurred, instance, new Uri((string)example["source"]!));

            Assert.True(JsonNode.DeepEquals(JsonNode.Parse(sent), example), $"{sent}\n{example.ToJsonString()}");
        }
    }

    [SkippableFact]
    public async Task The_JavaScript_snippet_verifies_an_event_and_refuses_a_changed_one()
    {
        var tools = Path.Combine(Repository.Root, "tools", "events");
        Skip.IfNot(Directory.Exists(Path.Combine(tools, "node_modules", "standardwebhooks")), "The event libraries are not installed: run 'npm ci' in tools/events.");
        var program = $"""
            {SnippetOf("js")}
            console.log(JSON.stringify(event));
            """.Replace("const event", "const { secret, headers, rawBody } = JSON.parse(await new Response(process.stdin).text());\nconst event", StringComparison.Ordinal);

        await AssertVerifiesAsync(input => RunAsync(tools, input, "node", "--input-type=module", "--eval", program));
    }

    [SkippableFact]
    public async Task The_Python_snippet_verifies_an_event_and_refuses_a_changed_one()
    {
        var folder = Environment.GetEnvironmentVariable("PATH")!.Split(Path.PathSeparator).FirstOrDefault(folder => File.Exists(Path.Combine(folder, "python3")));
        Skip.If(folder is null, "There is no python3 on the PATH.");
        var program = $"""
            import sys
            {SnippetOf("python", having: "def verify")}
            given = json.load(sys.stdin)
            event = verify(given["secret"], given["headers"], given["rawBody"].encode())
            print(json.dumps(event))
            """;

        await AssertVerifiesAsync(input => RunAsync(Repository.Root, input, Path.Combine(folder!, "python3"), "-c", program));
    }

    private static string SnippetOf(string language, string having = "") =>
        Regex.Matches(s_document, $"```{language}\n(.*?)```", RegexOptions.Singleline).Select(match => match.Groups[1].Value).First(snippet => snippet.Contains(having, StringComparison.Ordinal));

    private static async Task AssertVerifiesAsync(Func<string, Task<(int ExitCode, string Output, string Error)>> runAsync)
    {
        var verified = await runAsync(Input(Body));
        Assert.True(verified.ExitCode == 0, verified.Error);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(Body), JsonNode.Parse(verified.Output)), verified.Output);

        Assert.NotEqual(0, (await runAsync(Input(Body + " "))).ExitCode);
        Assert.NotEqual(0, (await runAsync(Input(Body, TimeSpan.FromMinutes(-10)))).ExitCode);
    }

    // Signed is the body as it should be.
    private static string Input(string rawBody, TimeSpan age = default)
    {
        var at = TimeProvider.System.GetUtcNow() + age;
        var headers = new Dictionary<string, string>
        {
            ["webhook-id"] = "e-1",
            ["webhook-timestamp"] = at.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture),
            ["webhook-signature"] = $"v1,AAAA {new StandardWebhook(EventReceiver.Secret).Sign("e-1", at, Body)}",
        };
        return JsonSerializer.Serialize(new { secret = EventReceiver.Secret, headers, rawBody });
    }

    private static async Task<(int ExitCode, string Output, string Error)> RunAsync(string folder, string input, string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        await process.WaitForExitAsync();
        return (process.ExitCode, await output, await error);
    }
}

using System.Reflection;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Azure.Functions.Worker;
using WixOAuth.Functions.Tests.Support;

namespace WixOAuth.Functions.Tests.Conventions;

/// <summary>docs/openapi.json against docs/http-api.md and the code, in both directions.</summary>
public sealed class OpenApiTests
{
    private const string Update = "UPDATE_OPENAPI";

    private static readonly string s_file = Path.Combine(Repository.Root, "docs", "openapi.json");

    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    [Fact]
    public void The_document_is_the_one_that_the_tables_and_the_types_make()
    {
        var made = OpenApiDocument.Generate().ToJsonString(s_json) + "\n";
        if (Environment.GetEnvironmentVariable(Update) is not null)
        {
            File.WriteAllText(s_file, made);
        }

        var (written, expected) = (File.ReadAllText(s_file).Split('\n'), made.Split('\n'));
        var difference = expected.Zip(written).TakeWhile(pair => pair.First == pair.Second).Count();
        Assert.True(
            written.SequenceEqual(expected),
            $"docs/openapi.json differs from docs/http-api.md and the bodies' types at line {difference + 1}: "
            + $"\"{written.ElementAtOrDefault(difference)?.Trim()}\" should be \"{expected.ElementAtOrDefault(difference)?.Trim()}\". "
            + $"Run this test once with {Update}=1 and commit the file.");
    }

    [Fact]
    public void Operations_are_the_http_functions_and_no_others()
    {
        var functions =
            from type in typeof(InstallFunctions).Assembly.GetTypes()
            from method in type.GetMethods()
            let name = method.GetCustomAttribute<FunctionAttribute>()?.Name
            let trigger = method.GetParameters().Select(parameter => parameter.GetCustomAttribute<HttpTriggerAttribute>()).SingleOrDefault(each => each is not null)
            where name is not null && trigger is not null
            from verb in trigger.Methods!
            select $"{verb} /api/{trigger.Route} {name}{(verb == "head" ? "Head" : "")} {(trigger.AuthLevel == AuthorizationLevel.Anonymous ? "open" : "key")}";
        var operations =
            from path in Read()["paths"]!.AsObject()
            from operation in path.Value!.AsObject()
            select $"{operation.Key} {path.Key} {operation.Value!["operationId"]} {(operation.Value["security"]!.AsArray().Count == 0 ? "open" : "key")}";
        Assert.Equal(functions.Order(StringComparer.Ordinal), operations.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Every_function_has_one_row_of_answers() => Assert.Equal(
        Repository.Table("docs/http-api.md", "## Functions").Select(row => row[0]),
        Repository.Table("docs/http-api.md", "## Answers").Select(row => row[0]));

    [Fact]
    public void Every_body_is_used()
    {
        var text = Read().ToJsonString();
        Assert.All(Read()["components"]!["schemas"]!.AsObject(), schema => Assert.Contains($"schemas/{schema.Key}\"", text, StringComparison.Ordinal));
    }

    private static JsonNode Read() => JsonNode.Parse(File.ReadAllText(s_file))!;
}

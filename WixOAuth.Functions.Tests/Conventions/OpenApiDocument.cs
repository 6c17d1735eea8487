using System.Globalization;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Http;

namespace WixOAuth.Functions.Tests.Conventions;

/// <summary>Makes docs/openapi.json from the tables of docs/http-api.md and the types of the bodies.</summary>
internal static partial class OpenApiDocument
{
    private const string Source = "docs/http-api.md";

    public static JsonObject Generate() => new()
    {
        ["openapi"] = "3.1.0",
        ["info"] = new JsonObject
        {
            ["title"] = "WixOAuth",
            ["version"] = "1",
            ["summary"] = "A token service for Wix apps.",
            ["license"] = new JsonObject { ["name"] = "MIT", ["identifier"] = "MIT" },
        },
        ["servers"] = new JsonArray(new JsonObject { ["url"] = "/" }),
        ["paths"] = Paths(),
        ["components"] = new JsonObject
        {
            ["securitySchemes"] = new JsonObject
            {
                ["functionKey"] = new JsonObject { ["type"] = "apiKey", ["in"] = "header", ["name"] = "x-functions-key" },
            },
            ["schemas"] = Schemas(),
        },
    };

    private static JsonObject Paths()
    {
        var answers = Repository.Table(Source, "## Answers").ToDictionary(row => row[0]);
        var paths = new JsonObject();
        foreach (var function in Repository.Table(Source, "## Functions"))
        {
            var path = (JsonObject)(paths[function[2]] ??= new JsonObject());
            foreach (var method in Words().Matches(function[1]).Select(match => match.Value))
            {
                var row = answers.TryGetValue(function[0], out var found)
                    ? found
                    : throw new InvalidOperationException($"{Source}: add {function[0]} to the table below \"## Answers\".");
                path[method.ToLowerInvariant()] = Operation(function, method, row);
            }
        }

        return paths;
    }

    private static JsonObject Operation(string[] function, string method, string[] answer)
    {
        var (name, needsKey) = (function[0], function[3] != "no");
        var operation = new JsonObject
        {
            ["operationId"] = method == "HEAD" ? $"{name}Head" : name,
            ["summary"] = name,
            ["security"] = needsKey ? new JsonArray(new JsonObject { ["functionKey"] = new JsonArray() }) : [],
        };
        if (name == "ImportInstance")
        {
            operation["description"] = "The key is the host's master key; a function key is not enough.";
        }

        var parameters = PathParameters(function[2]).Concat(QueryParameters(name)).ToArray();
        if (parameters.Length > 0)
        {
            operation["parameters"] = new JsonArray(parameters);
        }

        if (RequestBodyOf(name) is { } body)
        {
            operation["requestBody"] = new JsonObject { ["required"] = true, ["content"] = Content("application/json", body) };
        }
        else if (FormFields(name) is { Count: > 0 } fields)
        {
            operation["requestBody"] = new JsonObject
            {
                ["content"] = new JsonObject
                {
                    ["application/x-www-form-urlencoded"] = new JsonObject { ["schema"] = new JsonObject { ["type"] = "object", ["properties"] = fields } },
                },
            };
        }

        var responses = Responses(answer, needsKey, hasBody: method != "HEAD");
        if (operation["operationId"]!.GetValue<string>() == "RedirectHead")
        {
            // Nothing is redeemed, so nothing leads on.
            responses.Remove("302");
            responses.Remove("303");
        }

        operation["responses"] = responses;
        return operation;
    }

    private static IEnumerable<JsonObject> PathParameters(string path) => PathParameter().Matches(path).Select(match => new JsonObject
    {
        ["name"] = match.Groups[1].Value,
        ["in"] = "path",
        ["required"] = true,
        ["schema"] = new JsonObject { ["type"] = "string", ["format"] = "uuid" },
    });

    private static IEnumerable<JsonObject> QueryParameters(string function) =>
        Repository.Table(Source, "## Parameters").Where(row => row[0] == function).Select(row => new JsonObject
        {
            ["name"] = row[1],
            ["in"] = "query",
            ["description"] = row[2],
            ["schema"] = Schema(row[2]),
        });

    // A field of a form may be in the address instead.
    private static JsonObject FormFields(string function) => new(
        Repository.Table(Source, "## Parameters").Where(row => row[0] == function && row[2].Contains("field of the form", StringComparison.Ordinal))
            .Select(row => KeyValuePair.Create(row[1], (JsonNode?)new JsonObject { ["type"] = "string" })));

    // The words of the table: "0 to 240, 30 by default", "64 hexadecimal digits".
    private static JsonObject Schema(string description)
    {
        if (Range().Match(description) is { Success: true } range)
        {
            return new JsonObject
            {
                ["type"] = "integer",
                ["minimum"] = Number(range.Groups[1]),
                ["maximum"] = Number(range.Groups[2]),
                ["default"] = Number(range.Groups[3]),
            };
        }

        var schema = new JsonObject { ["type"] = "string" };
        if (Digits().Match(description) is { Success: true } digits)
        {
            schema["pattern"] = $"^[0-9A-Fa-f]{{{digits.Groups[1].Value}}}$";
        }

        return schema;
    }

    private static int Number(Group group) => int.Parse(group.Value, CultureInfo.InvariantCulture);

    private static string? RequestBodyOf(string function) => Repository.Table(Source, "## Bodies")
        .FirstOrDefault(row => row[1].Replace("`", "", StringComparison.Ordinal) == $"{function}, what you send")?[0];

    private static JsonObject Responses(string[] answer, bool needsKey, bool hasBody)
    {
        var responses = new SortedDictionary<string, JsonObject>(StringComparer.Ordinal);
        foreach (Match each in Answer().Matches(answer[1]))
        {
            var body = each.Groups["body"].Value;
            responses[each.Groups["status"].Value] = body switch
            {
                _ when body.Length == 0 || !hasBody => Response("Done."),
                "page" => Response("A page.", "text/html", null),
                "JSON" => Response("This document.", "application/json", null),
                _ => Response(body, "application/json", body),
            };
        }

        foreach (var (status, description, isPage) in Errors(answer[2]))
        {
            responses[status] = responses.TryGetValue(status, out var also)
                ? WithDescription(also, description)
                : !hasBody ? Response(description)
                : isPage ? Response(description, "text/html", null)
                : Response(description, "application/problem+json", nameof(ProblemBody));
            if (status == "503" && !isPage)
            {
                responses[status]["headers"] = new JsonObject
                {
                    ["Retry-After"] = new JsonObject { ["description"] = "Seconds to wait.", ["schema"] = new JsonObject { ["type"] = "integer" } },
                };
            }
        }

        if (needsKey)
        {
            responses.TryAdd("401", Response("The function key is missing or wrong."));
        }

        return new JsonObject(responses.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value)));
    }

    private static JsonObject WithDescription(JsonObject response, string description)
    {
        response["description"] = $"{response["description"]}\n{description}";
        if (response["content"] is JsonObject content)
        {
            content["application/problem+json"] = Content("application/problem+json", nameof(ProblemBody))["application/problem+json"]!.DeepClone();
        }

        return response;
    }

    private static IEnumerable<(string Status, string Description, bool IsPage)> Errors(string errors)
    {
        const string Page = "page ";
        var cells = errors.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(cell => cell.Replace("`", "", StringComparison.Ordinal)).ToList();
        var pages = cells.Contains("all pages")
            ? Repository.Table(Source, "## Pages").Select(row => row[1])
            : cells.Where(cell => cell.StartsWith(Page, StringComparison.Ordinal)).Select(cell => cell[Page.Length..]);
        return Described("## Pages", pages, isPage: true)
            .Concat(Described("## Errors", cells.Where(cell => cell != "all pages" && !cell.StartsWith(Page, StringComparison.Ordinal)), isPage: false));
    }

    private static IEnumerable<(string Status, string Description, bool IsPage)> Described(string heading, IEnumerable<string> codes, bool isPage)
    {
        var rows = Repository.Table(Source, heading);
        var wanted = codes.ToHashSet(StringComparer.Ordinal);
        var unknown = wanted.Where(code => rows.All(row => row[1] != code)).ToList();
        return unknown.Count > 0
            ? throw new InvalidOperationException($"{Source}: not in the table below \"{heading}\": {string.Join(", ", unknown)}")
            : rows.Where(row => wanted.Contains(row[1]))
                .GroupBy(row => row[0])
                .Select(group => (group.Key, string.Join('\n', group.Select(row => $"`{row[1]}`: {row[2]}")), isPage));
    }

    private static JsonObject Response(string description, string? type = null, string? body = null)
    {
        var response = new JsonObject { ["description"] = description };
        if (type is not null)
        {
            response["content"] = Content(type, body);
        }

        return response;
    }

    private static JsonObject Content(string type, string? body) => new()
    {
        [type] = new JsonObject
        {
            ["schema"] = body is not null ? new JsonObject { ["$ref"] = $"#/components/schemas/{body}" }
                : new JsonObject { ["type"] = type == "text/html" ? "string" : "object" },
        },
    };

    private static JsonObject Schemas() => new(
        Repository.Table(Source, "## Bodies").Select(row => row[0]).Order(StringComparer.Ordinal).Select(name => KeyValuePair.Create(
            name,
            (JsonNode?)Schema(typeof(ProblemBody).Assembly.GetType($"WixOAuth.Http.{name}")
                ?? throw new InvalidOperationException($"{Source} has a body {name} that the code has not.")))));

    private static JsonObject Schema(Type body)
    {
        var properties = body.GetProperties().Where(property => property.GetMethod!.IsPublic).ToList();
        var nullability = new NullabilityInfoContext();
        bool IsNullable(PropertyInfo property) => nullability.Create(property).ReadState == NullabilityState.Nullable;
        return new JsonObject
        {
            ["type"] = "object",
            ["required"] = new JsonArray([.. properties.Where(property => !body.Name.Contains("Request", StringComparison.Ordinal) || !IsNullable(property)).Select(property => JsonValue.Create(NameOf(property)))]),
            ["properties"] = new JsonObject(properties.Select(property => KeyValuePair.Create(NameOf(property), (JsonNode?)Schema(property.PropertyType, IsNullable(property))))),
        };
    }

    private static string NameOf(PropertyInfo property) => JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name);

    private static JsonObject Schema(Type type, bool nullable)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (type.Name.EndsWith("Body", StringComparison.Ordinal))
        {
            var reference = new JsonObject { ["$ref"] = $"#/components/schemas/{type.Name}" };
            return nullable ? new JsonObject { ["oneOf"] = new JsonArray(reference, new JsonObject { ["type"] = "null" }) } : reference;
        }

        if (type.IsGenericType)
        {
            return new JsonObject { ["type"] = "array", ["items"] = Schema(type.GetGenericArguments()[0], nullable: false) };
        }

        var (name, format) = type == typeof(string) ? ("string", null)
            : type == typeof(DateTimeOffset) ? ("string", "date-time")
            : type == typeof(long) ? ("integer", "int64")
            : type == typeof(int) ? ("integer", "int32")
            : type == typeof(bool) ? ("boolean", (string?)null)
            : throw new InvalidOperationException($"OpenApiDocument does not know the type {type.Name} yet.");
        var schema = new JsonObject { ["type"] = nullable ? new JsonArray(name, "null") : name };
        if (format is not null)
        {
            schema["format"] = format;
        }

        return schema;
    }

    [GeneratedRegex(@"\w+")]
    private static partial Regex Words();

    [GeneratedRegex(@"\{(\w+)\}")]
    private static partial Regex PathParameter();

    [GeneratedRegex(@"(\d+) to (\d+), (\d+) by default")]
    private static partial Regex Range();

    [GeneratedRegex(@"(\d+) hexadecimal digits")]
    private static partial Regex Digits();

    [GeneratedRegex(@"(?<status>\d{3})(?: `?(?<body>\w+)`?)?")]
    private static partial Regex Answer();
}

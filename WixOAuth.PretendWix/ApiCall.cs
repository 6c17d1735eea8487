using System.Text.Json.Nodes;

namespace WixOAuth.PretendWix;

/// <summary>A call of Wix's API, read.</summary>
internal sealed class ApiCall(JsonObject? body, string? authorization)
{
    public JsonObject? Body => body;

    public string? Authorization => authorization;

    public string? Grant => this["grant_type"];

    public Site? Site { get; set; }

    public string? this[string field] => body?[field] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

    public string? Missing(params ReadOnlySpan<string> fields)
    {
        foreach (var field in fields)
        {
            if (string.IsNullOrEmpty(this[field]))
            {
                return field;
            }
        }

        return null;
    }
}

/// <summary>What a call is answered with.</summary>
internal sealed record ApiAnswer(int Status, JsonObject Body)
{
    public string? Detail { get; init; }

    public static ApiAnswer Invalid(string field) => new(StatusCodes.Status400BadRequest, new JsonObject
    {
        ["message"] = $"{field} must not be empty or unknown",
        ["details"] = new JsonObject
        {
            ["validationError"] = new JsonObject
            {
                ["fieldViolations"] = new JsonArray(new JsonObject { ["field"] = field, ["description"] = "must not be empty or unknown" }),
            },
        },
    })
    { Detail = $"invalid {field}" };

    public static ApiAnswer Rejected(bool oldShape, string code, string description, int status) => new(status, oldShape
        ? new JsonObject { ["errorCode"] = -19_988, ["errorDescription"] = $"{description} {code}" }
        : new JsonObject
        {
            ["message"] = description,
            ["details"] = new JsonObject
            {
                ["applicationError"] = new JsonObject { ["code"] = code, ["description"] = description, ["data"] = new JsonObject() },
            },
        })
    { Detail = description };

    public static ApiAnswer IetfError(int status, string error, string description) =>
        new(status, new JsonObject { ["error"] = error, ["error_description"] = description }) { Detail = error };
}

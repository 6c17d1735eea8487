using System.Text.Json;
using WixOAuth.Functions.Tests.Worker.Rpc;

namespace WixOAuth.Functions.Tests.Worker;

/// <summary>A function as the worker describes it to the host.</summary>
internal sealed class WorkerFunction
{
    private readonly JsonElement _trigger;

    public WorkerFunction(RpcFunctionMetadata metadata)
    {
        Metadata = metadata;
        _trigger = metadata.RawBindings.Select(binding => JsonSerializer.Deserialize<JsonElement>(binding))
            .Single(binding => Text(binding, "type")!.EndsWith("Trigger", StringComparison.OrdinalIgnoreCase));
    }

    public RpcFunctionMetadata Metadata { get; }

    public string Name => Metadata.Name;

    /// <summary>The name of the trigger's parameter.</summary>
    public string Parameter => Text(_trigger, "name")!;

    public bool IsHttp => string.Equals(Text(_trigger, "type"), "httpTrigger", StringComparison.OrdinalIgnoreCase);

    /// <summary>The route below the prefix of host.json.</summary>
    public string Route => Text(_trigger, "route") ?? Name;

    /// <summary>In capitals.</summary>
    public IReadOnlyList<string> Methods => [.. _trigger.GetProperty("methods").EnumerateArray().Select(method => method.GetString()!.ToUpperInvariant())];

    public bool IsAnonymous => string.Equals(Text(_trigger, "authLevel"), "anonymous", StringComparison.OrdinalIgnoreCase);

    public string? Schedule => Text(_trigger, "schedule");

    private static string? Text(JsonElement binding, string name) =>
        binding.EnumerateObject().FirstOrDefault(property => property.Name.Equals(name, StringComparison.OrdinalIgnoreCase)) is { Value.ValueKind: JsonValueKind.String } found
            ? found.Value.GetString()
            : null;
}

using System.Text.RegularExpressions;

namespace WixOAuth.Functions.Tests.Faults;

/// <summary>Injects faults between the real Azure SDK and the real Azurite.</summary>
internal sealed partial class FaultyTables(Func<FaultyCalls> calls) : DelegatingHandler(new SocketsHttpHandler { AllowAutoRedirect = false })
{
    /// <summary>Counts all instances for the operators' page; several shards at once.</summary>
    public const string Everything = "count all instances";

    /// <summary>Queries that are sent to one shard after the other.</summary>
    public static IReadOnlyList<string> OfEachShard { get; } = ["read due index", "list instances", "list events", "list parked events"];

    public bool IsOn { get; set; }

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Assert.NotEqual("elsewhere.example.com", request.RequestUri!.Host);
        if (!IsOn || calls().Meet(await KindOfAsync(request, cancellationToken)) is not { } fault)
        {
            return await base.SendAsync(request, cancellationToken);
        }

        if (fault.Acts)
        {
            (await base.SendAsync(request, cancellationToken)).Dispose();
        }

        return await fault.HappenToStorageAsync(request, cancellationToken);
    }

    private static async Task<string> KindOfAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var url = Uri.UnescapeDataString(request.RequestUri!.PathAndQuery);
        if (url.Contains("$batch", StringComparison.Ordinal))
        {
            var parts = Rows().Matches(Uri.UnescapeDataString(await request.Content!.ReadAsStringAsync(cancellationToken)));
            return $"write {string.Join(" and ", parts.Select(part => NameOf(part.Groups[1].Value)).Distinct())}";
        }

        if (url.Contains("/Tables", StringComparison.Ordinal))
        {
            return "create table";
        }

        if (url.Contains("PartitionKey eq", StringComparison.Ordinal) && !url.Contains("RowKey", StringComparison.Ordinal))
        {
            return "read shard";
        }

        if (Range().Match(url) is { Success: true } range)
        {
            return range.Groups[1].Value switch
            {
                "i" => url.Contains("$select", StringComparison.Ordinal) ? Everything : "list instances",
                "d" => "read due index",
                "o" => "list events",
                "p" => "list parked events",
                var other => $"list {NameOf(other)}",
            };
        }

        var body = request.Method == HttpMethod.Post ? await request.Content!.ReadAsStringAsync(cancellationToken) : "";
        var row = Row().Match(url) is { Success: true } match ? match.Groups[1].Value : Rows().Match(body) is { Success: true } added ? added.Groups[1].Value : "?";
        return $"{(request.Method == HttpMethod.Get ? "read" : request.Method == HttpMethod.Delete ? "delete" : "write")} {NameOf(row)}";
    }

    private static string NameOf(string prefix) => prefix switch
    {
        "i" => "instance",
        "d" => "due index",
        "n" => "consumed state",
        "s" => "status index",
        "u" => "last use",
        "o" => "event",
        "p" => "parked event",
        "k" => "key check",
        _ => "table",
    };

    [GeneratedRegex("RowKey g[et] '([a-z])\\|")]
    private static partial Regex Range();

    [GeneratedRegex("RowKey='([a-z])\\|")]
    private static partial Regex Row();

    [GeneratedRegex("RowKey(?:=|\":\")'?([a-z])\\|")]
    private static partial Regex Rows();
}

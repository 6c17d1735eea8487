using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Functions;

/// <summary>The logs of requests that ASP.NET Core and the worker write; compiled into both hosts.</summary>
internal static class RequestLogs
{
    // They print whole URLs: with the code, the state and the function key in them. Kestrel does for bad requests.
    private static readonly string[] s_categories =
        ["Microsoft.AspNetCore.Hosting.Diagnostics", "Microsoft.AspNetCore.Server.Kestrel", "Microsoft.Azure.Functions.Worker"];

    /// <summary>Lets only warnings of them through: no setting may turn them on, whatever provider or wildcard it names.</summary>
    public static void KeepQueryStringsOut(this ILoggingBuilder logging) => logging.Services.PostConfigure<LoggerFilterOptions>(filters =>
    {
        foreach (var category in s_categories)
        {
            foreach (var rule in filters.Rules.Where(rule => rule.CategoryName?.StartsWith(category, StringComparison.OrdinalIgnoreCase) == true).ToList())
            {
                filters.Rules.Remove(rule);
            }

            // A rule that names a provider beats one that does not, so each provider that is named has one of its own.
            foreach (var provider in filters.Rules.Select(rule => rule.ProviderName).Append(null).Distinct().ToList())
            {
                filters.Rules.Add(new LoggerFilterRule(provider, category, LogLevel.Warning, null));
            }
        }
    });
}

using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Functions;

/// <summary>The request logs of ASP.NET Core and of the worker, in both hosts.</summary>
internal static class RequestLogs
{
    // At Information they write several records for each request, some with the whole URL: its code, state and key.
    private static readonly string[] s_categories = ["Microsoft.AspNetCore", "Microsoft.Azure.Functions.Worker"];

    /// <summary>Drops them below Warning. No setting can turn them on, whatever provider or wildcard it names.</summary>
    public static void KeepQueryStringsOut(this ILoggingBuilder logging) => logging.Services.PostConfigure<LoggerFilterOptions>(filters =>
    {
        foreach (var category in s_categories)
        {
            foreach (var rule in filters.Rules.Where(rule => rule.CategoryName?.StartsWith(category, StringComparison.OrdinalIgnoreCase) == true).ToList())
            {
                filters.Rules.Remove(rule);
            }

            // A rule for a provider wins over one for all, so each provider that is named needs its own rule.
            foreach (var provider in filters.Rules.Select(rule => rule.ProviderName).Append(null).Distinct().ToList())
            {
                filters.Rules.Add(new LoggerFilterRule(provider, category, LogLevel.Warning, null));
            }
        }
    });
}

using WixOAuth.Instances;

namespace WixOAuth.Pages;

internal sealed record InstancesFound(string Title, IReadOnlyList<InstanceItem> Rows, bool IsFirstPage, string? Next, string NextWords)
{
    public static InstancesFound Of(IReadOnlyList<InstanceItem> rows, string? search, string? cursor, string? next)
    {
        var isSearch = !string.IsNullOrEmpty(search);
        return new(TitleOf(rows.Count, isUnfinished: isSearch && next is not null), rows, cursor is null, next, isSearch ? "Search on" : "Next page");
    }

    private static string TitleOf(int count, bool isUnfinished) => (count, isUnfinished) switch
    {
        (0, true) => "None found so far",
        (_, true) => $"{count} found so far",
        (0, _) => "No instance found",
        (1, _) => "1 instance",
        _ => $"{count} instances",
    };
}

/// <remarks><c>Url</c> is null unless it is http or https. <c>Story</c> is its last refresh, failures, removal and set-up, a line for each.</remarks>
internal sealed record InstanceItem(Instance Instance, string Id, string Name, string? Url, IReadOnlyList<StatusLine> Story, bool CanCompleteSetup)
{
    /// <summary>
    /// Unless the service reports set-ups to Wix (<paramref name="sendsSetup"/>), the page does not mention them: an app that
    /// never reported one must not do so at the press of a button (wix-protocol §6).
    /// </summary>
    public static InstanceItem Of(Instance instance, DateTimeOffset now, bool sendsSetup)
    {
        var lacksSetup = sendsSetup && instance.SetupCompletedAt is null && instance.Status != InstanceStatus.Removed;
        return new(
            instance,
            instance.Id.ToString(),
            string.IsNullOrWhiteSpace(instance.Site?.Name) ? "Site without a name" : instance.Site.Name,
            SafeUrl(instance.Site?.Url),
            [.. StoryOf(instance, now, lacksSetup)],
            lacksSetup);
    }

    private static IEnumerable<StatusLine> StoryOf(Instance instance, DateTimeOffset now, bool lacksSetup)
    {
        if (instance.RefreshedAt is { } refreshedAt)
        {
            yield return new("dim", $"Last refresh {Figures.Ago(now - refreshedAt)}");
        }

        if (instance.Failures is { } failures)
        {
            yield return new(null, $"{Plain(failures.LastError)} ({Figures.Ago(now - failures.LastAt)}{(failures.Count > 1 ? $", {Figures.N(failures.Count)} in a row" : "")})");
        }

        if (instance.RemovedAt is { } removedAt && instance.Status == InstanceStatus.Removed)
        {
            yield return new("dim", $"{(instance.Forgotten ? "Forgotten" : "Removed")} {Figures.Ago(now - removedAt)}");
        }

        if (lacksSetup)
        {
            yield return new("dim", "Set-up not completed at Wix");
        }
    }

    private static string Plain(TokenError error) => error switch
    {
        TokenError.Rejected => "Wix rejects every grant that is allowed for it",
        TokenError.WixUnavailable => "Wix could not be reached",
        TokenError.UnexpectedAnswer => "Wix sent an answer that could not be understood",
        TokenError.Undecryptable => "Its stored tokens cannot be decrypted: the protection key is missing",
        _ => "The app secret could not be read from Key Vault",
    };

    private static string? SafeUrl(string? text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var url) && (url.Scheme == Uri.UriSchemeHttps || url.Scheme == Uri.UriSchemeHttp) ? url.AbsoluteUri : null;
}

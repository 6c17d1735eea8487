using WixOAuth.Instances;

namespace WixOAuth.Pages;

/// <summary>The instances that the operators' page lists.</summary>
/// <param name="Title">The number of instances, in words.</param>
/// <param name="Rows">The instances.</param>
/// <param name="IsFirstPage">Whether the list begins here.</param>
/// <param name="Next">The cursor of the next page; null on the last page.</param>
/// <param name="NextWords">The label of the button that opens the next page.</param>
internal sealed record InstancesFound(string Title, IReadOnlyList<InstanceRow> Rows, bool IsFirstPage, string? Next, string NextWords)
{
    public static InstancesFound Of(IReadOnlyList<InstanceRow> rows, string? search, string? cursor, string? next)
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

/// <summary>An instance in the list.</summary>
/// <param name="Name">The site's name, or "Site without a name".</param>
/// <param name="Url">The site's address; null unless it is http or https.</param>
/// <param name="Id">The instance id.</param>
/// <param name="Customer">The user's customer, or null.</param>
/// <param name="IsFailing">Whether its last refresh failed.</param>
/// <param name="Status">The status as in the API.</param>
/// <param name="StatusWords">The status for people.</param>
/// <param name="Story">Its last refresh, failures, removal and set-up, a line for each.</param>
/// <param name="CanAct">Whether it can be refreshed and forgotten.</param>
/// <param name="CanCompleteSetup">Whether its set-up can be reported to Wix.</param>
internal sealed record InstanceRow(
    string Name,
    string? Url,
    string Id,
    string? Customer,
    bool IsFailing,
    string Status,
    string StatusWords,
    IReadOnlyList<StatusLine> Story,
    bool CanAct,
    bool CanCompleteSetup)
{
    /// <summary>The row of an instance.</summary>
    /// <param name="instance">The instance.</param>
    /// <param name="now">The time.</param>
    /// <param name="sendsSetup">
    /// Whether the service reports set-ups to Wix. Otherwise the page does not mention them: an app that never reported one must
    /// not do so at the press of a button (wix-protocol §6).
    /// </param>
    public static InstanceRow Of(Instance instance, DateTimeOffset now, bool sendsSetup)
    {
        var status = SnakeCaseEnum.Of(instance.Status);
        var lacksSetup = sendsSetup && instance.SetupCompletedAt is null && instance.Status != InstanceStatus.Removed;
        return new(
            string.IsNullOrWhiteSpace(instance.Site?.Name) ? "Site without a name" : instance.Site.Name,
            SafeUrl(instance.Site?.Url),
            instance.Id.ToString(),
            instance.Customer,
            instance.IsFailing,
            status,
            status.Replace('_', ' '),
            [.. StoryOf(instance, now, lacksSetup)],
            CanAct: instance.Status != InstanceStatus.Removed,
            CanCompleteSetup: lacksSetup);
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
        TokenError.UnexpectedAnswer => "Wix answered something that makes no sense",
        TokenError.Undecryptable => "Its stored tokens cannot be decrypted: the protection key is missing",
        _ => "The app secret could not be read from Key Vault",
    };

    private static string? SafeUrl(string? text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var url) && (url.Scheme == Uri.UriSchemeHttps || url.Scheme == Uri.UriSchemeHttp) ? url.AbsoluteUri : null;
}

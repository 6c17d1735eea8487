using WixOAuth.Instances;

namespace WixOAuth.Pages;

/// <summary>A count of instances, and the button that lists them; <c>Trouble</c> is the CSS class of one that needs attention.</summary>
internal sealed record StatusTile(string List, string Words, string Count, string? Trouble);

internal sealed record StatusTotals(IReadOnlyList<StatusTile> Tiles, IReadOnlyList<StatusLine> Lines)
{
    public static StatusTotals Of(Overview overview) => new(
        [
            Tile("active", "active", overview.ByStatus[InstanceStatus.Active], null),
            Tile(StatusPage.Failing, "active, last refresh failed", overview.Failing, "warn"),
            Tile("reinstall_required", "reinstall required", overview.ByStatus[InstanceStatus.ReinstallRequired], "bad"),
            Tile("removed", "removed", overview.ByStatus[InstanceStatus.Removed], null),
        ],
        LinesOf(overview));

    private static StatusTile Tile(string list, string words, int count, string? trouble) =>
        new(list, words, Figures.N(count), count > 0 ? trouble : null);

    private static IReadOnlyList<StatusLine> LinesOf(Overview overview)
    {
        var byGrant = overview.ByGrant;
        (bool Holds, StatusLine Line)[] lines =
        [
            (overview.Unreadable > 0, new("card warning", $"{Figures.N(overview.Unreadable)} with a refresh token that no protection key opens: kept, served by client credentials where those are allowed. A version of the protection key is missing.")),
            (overview.OnFallback > overview.Unreadable, new("card warning", $"{Figures.N(overview.OnFallback - overview.Unreadable)} with a refresh token that Wix rejects: kept, served by client credentials, tried again by itself.")),
            (byGrant.Values.Sum() > 0, new("dim", $"Access tokens: {Figures.N(byGrant.GetValueOrDefault(Grant.RefreshToken))} by refresh token, {Figures.N(byGrant.GetValueOrDefault(Grant.ClientCredentials))} by client credentials.")),
            (overview.IsPartial, new("dim", $"Counted are the first {Figures.N(InstanceOverview.Limit)} instances.")),
        ];
        return [.. lines.Where(line => line.Holds).Select(line => line.Line)];
    }
}

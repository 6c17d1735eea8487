namespace WixOAuth.Crash;

/// <summary>How a process is brought to a point.</summary>
internal enum Way
{
    /// <summary>A refresh.</summary>
    Refresh,

    /// <summary>A refresh while Wix is not available.</summary>
    Unavailable,

    /// <summary>A refresh with a void refresh token: then the app's own credentials are used.</summary>
    Revoked,

    /// <summary>A caller asks for a site's token for the first time.</summary>
    FirstUse,

    /// <summary>A sweep.</summary>
    Sweep,
}

/// <summary>A step of the protocol at which a process is killed.</summary>
/// <param name="Name">What it is called.</param>
/// <param name="Way">What brings a process there.</param>
/// <param name="Point">Where it is seen.</param>
internal sealed record Step(string Name, Way Way, Point Point)
{
    /// <summary>All of them, in the order of design.md's protocol.</summary>
    public static IReadOnlyList<Step> All { get; } =
    [
        new("the row is to be read", Way.Refresh, Point.ReadAsked),
        new("the row was read, not answered", Way.Refresh, Point.ReadAnswered),
        new("the lease is to be written", Way.Refresh, Point.LeaseAsked),
        new("the lease was written, not answered", Way.Refresh, Point.LeaseLanded),
        new("Wix is asked, has not acted", Way.Refresh, Point.RefreshAsked),
        new("the refresh token was used, not answered", Way.Refresh, Point.RefreshSpent),
        new("the commit is to be written", Way.Refresh, Point.CommitAsked),
        new("the commit was written, not answered", Way.Refresh, Point.CommitLanded),
        new("a failure is to be written", Way.Unavailable, Point.FailureAsked),
        new("a failure was written, not answered", Way.Unavailable, Point.FailureLanded),
        new("the refresh token was rejected, not answered", Way.Revoked, Point.RefreshRejected),
        new("client credentials are asked for", Way.Revoked, Point.MintAsked),
        new("client credentials were given, not answered", Way.Revoked, Point.Minted),
        new("the commit of theirs is to be written", Way.Revoked, Point.CommitAsked),
        new("the commit of theirs was written, not answered", Way.Revoked, Point.CommitLanded),
        new("a last use is to be written", Way.FirstUse, Point.LastUseAsked),
        new("a last use was written, not answered", Way.FirstUse, Point.LastUseLanded),
        new("a sweep is to read the due ones", Way.Sweep, Point.DueAsked),
        new("a sweep was answered the due ones", Way.Sweep, Point.DueAnswered),
    ];

    /// <summary>Which kinds of sites it is tried with.</summary>
    public IReadOnlyList<Rotation> Rotations => Way switch
    {
        Way.Revoked => [Rotation.Strict],
        Way.Sweep => [Rotation.Same],
        _ => [Rotation.Same, Rotation.Grace, Rotation.Strict],
    };
}

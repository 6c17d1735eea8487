namespace WixOAuth.Fleets;

/// <summary>What must hold for a fleet, whatever its schedule holds. A violation names its rule.</summary>
internal static class FleetRule
{
    public const string TokenIsKept = "A refresh token that Wix would take is never missing from its row";

    public const string KeyIsRight = "Nothing in a row is sealed with the wrong key";

    /// <summary>Where Wix rejects requests at random, chance may mark one in 1,000: those are counted by the caller.</summary>
    public const string HealthyIsNotMarked = "No healthy site is marked, unless Wix rejects that site alone for hours";

    public const string MarkTakesTime = "No site is marked before 6 rejections over 2 hours, or 48 hours in a fleet of three or fewer";

    /// <summary>Time in which something else goes wrong does not count: nothing can be concluded then.</summary>
    public const string DeadIsMarked = "A dead site is marked within 27 hours, or 50 in a fleet of three or fewer";

    public const string MarkedIsTried = "A marked site is tried again after 1 hour, 4 hours, then daily, though nobody asks for it";

    public const string NoFalseAlarm = "No critical line is logged where neither Wix rejects healthy sites nor a process has the wrong key";

    public const string Alarm = "A critical line is logged where Wix rejects all sites";

    public const string TokenLives = "No caller is handed an access token that Wix no longer takes";

    /// <summary>After 10 minutes; after 4, where Wix rejected nothing. A marked site: after an hour.</summary>
    public const string IsServed = "Every healthy site is served minutes after the end of all faults";

    public const string IsUnmarked = "No healthy site is marked an hour after the end of all faults";

    public const string HasOwnToken = "Every healthy site has a token by its own refresh token a day after the end of all faults";
}

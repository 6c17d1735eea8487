namespace WixOAuth.Install;

/// <summary>An install in flight in one browser, as its cookie describes it: the nonce of its state, and its link if it has one.</summary>
internal sealed record InstallState(byte[] Nonce, DateTimeOffset IssuedAt, ConfirmedLink? Link);

/// <summary>
/// An install link that was confirmed in this browser. In cookies of versions without a confirmation page the time is random,
/// and counts as expired. The id is unique among the links of one browser only.
/// </summary>
internal sealed record ConfirmedLink(long Id, DateTimeOffset ConfirmedAt, string Customer);

/// <summary>A link made by <c>CreateInstallLink</c>.</summary>
internal sealed record InstallLink(byte[] Nonce, DateTimeOffset IssuedAt, string Customer, string? DisplayName);

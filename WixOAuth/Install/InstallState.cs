namespace WixOAuth.Install;

/// <summary>An install in flight in one browser, as its cookie describes it.</summary>
/// <param name="Nonce">The nonce of its state, 16 bytes.</param>
/// <param name="IssuedAt">When it began.</param>
/// <param name="Link">The install link that it is for; null for none.</param>
internal sealed record InstallState(byte[] Nonce, DateTimeOffset IssuedAt, ConfirmedLink? Link);

/// <summary>An install link that was confirmed in this browser.</summary>
/// <param name="Id">Identifies the link among those of one browser.</param>
/// <param name="ConfirmedAt">When; the distant past in cookies of versions that asked for no confirmation.</param>
/// <param name="Customer">Whom the site is to be connected to.</param>
internal sealed record ConfirmedLink(long Id, DateTimeOffset ConfirmedAt, string Customer);

/// <summary>A link made by <c>CreateInstallLink</c>.</summary>
/// <param name="Nonce">Its id, 16 bytes.</param>
/// <param name="IssuedAt">When it was made.</param>
/// <param name="Customer">Whom the site is to be connected to.</param>
/// <param name="DisplayName">The customer's name for people; null where none was given.</param>
internal sealed record InstallLink(byte[] Nonce, DateTimeOffset IssuedAt, string Customer, string? DisplayName);

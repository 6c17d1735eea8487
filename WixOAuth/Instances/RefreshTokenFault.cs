namespace WixOAuth.Instances;

/// <summary>Why a stored refresh token is not in use: Wix rejected it, or no protection key opens it.</summary>
internal enum RefreshTokenFaultKind
{
    Rejected,
    Unreadable,
}

/// <summary>
/// An observation about the stored refresh token. It decides when the token is tried again, never whether it is kept: at
/// <paramref name="RetryAt"/>, or with the next refresh if that is null. <paramref name="Tries"/> includes the first one.
/// </summary>
internal sealed record RefreshTokenFault(RefreshTokenFaultKind Kind, DateTimeOffset Since, int Tries, DateTimeOffset? RetryAt);

/// <summary>
/// Rejections of every allowed grant that count towards <see cref="InstanceStatus.ReinstallRequired"/>, since the last
/// success. Which rejections count is decided by the rejection policy.
/// </summary>
internal sealed record CountedRejections(int Count, DateTimeOffset FirstAt);

/// <summary>What is known of an instance's refresh token, as <c>refresh_token</c> of the contract.</summary>
internal enum RefreshTokenState
{
    Ok,
    Rejected,
    Unreadable,
    None,
}

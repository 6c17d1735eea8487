namespace WixOAuth.Instances;

/// <summary>The status of an instance, as <c>status</c> of the contract.</summary>
internal enum InstanceStatus
{
    /// <summary>Installed; its tokens are kept fresh.</summary>
    Active,

    /// <summary>
    /// Wix rejects every allowed grant: the site's owner has to consent again. It keeps its refresh token and is tried
    /// again, since the conclusion may be wrong.
    /// </summary>
    ReinstallRequired,

    /// <summary>The app was removed from the site, or forgotten here: a tombstone without tokens.</summary>
    Removed,
}

/// <summary>How an instance's access tokens are obtained.</summary>
internal enum Grant
{
    /// <summary>With the refresh token of the owner's consent (RFC 6749 §6, wix-protocol §5).</summary>
    RefreshToken,

    /// <summary>With the app's own credentials and the instance's id (RFC 6749 §4.4, wix-protocol §8).</summary>
    ClientCredentials,
}

/// <summary>Why the last attempt to have a token failed. A class, never Wix's own words: a body may hold anything.</summary>
internal enum TokenError
{
    /// <summary>Wix refused the refresh token or the app's credentials.</summary>
    Rejected,

    /// <summary>Wix could not be reached, was too slow, or asked to try later.</summary>
    WixUnavailable,

    /// <summary>Wix answered what cannot be understood.</summary>
    UnexpectedAnswer,

    /// <summary>The stored tokens cannot be decrypted with any available key.</summary>
    Undecryptable,

    /// <summary>The app secret or the protection key could not be read from Key Vault.</summary>
    SecretUnavailable,
}

/// <summary>
/// The site as Wix describes it (wix-protocol §6). Text from outside: show it as text only. Only a published site has a
/// <paramref name="Url"/>.
/// </summary>
internal sealed record Site(string? Id, string? Name, string? Url);

/// <summary>
/// The right to refresh an instance's tokens for a while. It only saves calls to Wix; <see cref="Instance.Generation"/> is what
/// makes a late write harmless. After <paramref name="Until"/> any attempt may take it over.
/// </summary>
internal sealed record Lease(string Owner, DateTimeOffset Until);

/// <summary>
/// Failed attempts since the last one that succeeded; <paramref name="Rejections"/> of them were rejections by Wix. No further
/// attempt is made before <paramref name="RetryAt"/>.
/// </summary>
internal sealed record Failures(
    int Count,
    int Rejections,
    DateTimeOffset? FirstRejectedAt,
    DateTimeOffset LastAt,
    TokenError LastError,
    DateTimeOffset? RetryAt);

/// <summary>
/// Everything known about one installation of the app. Immutable: a change is a new record, written with the ETag of
/// the one it was made from. Times are by our clock, except where noted.
/// </summary>
internal sealed partial record Instance
{
    public required InstanceId Id { get; init; }

    public required InstanceStatus Status { get; init; }

    /// <summary>
    /// <see cref="Grant.RefreshToken"/> while a refresh token is stored, whether or not it works. Earlier versions of the
    /// service choose the grant by this alone.
    /// </summary>
    public Grant Grant { get; init; }

    /// <summary>The grant of the current access token, where it differs from <see cref="Grant"/>.</summary>
    public Grant? AccessTokenGrant { get; init; }

    public Grant CurrentGrant => AccessTokenGrant ?? Grant;

    /// <summary>The customer it belongs to, if the install began with a customer's link.</summary>
    public string? Customer { get; init; }

    /// <summary>
    /// When its customer was last named, by a consent, an import or our own app; where a removal erased it, the time of that by
    /// Wix's clock. Also null where an earlier version named it.
    /// </summary>
    public DateTimeOffset? CustomerNamedAt { get; init; }

    public Site? Site { get; init; }

    /// <summary>The version of the app that was consented to, or cloned.</summary>
    public string? AppVersion { get; init; }

    /// <summary>The refresh token, encrypted; none for an instance that never had one, or that was removed.</summary>
    public ProtectedText? RefreshToken { get; init; }

    /// <summary>The generation that the refresh token is sealed for, where it is not <see cref="Generation"/>: no key opened it since.</summary>
    public long? RefreshTokenGeneration { get; init; }

    /// <summary>Why the refresh token is not in use; null while it is, or is not known to be refused.</summary>
    public RefreshTokenFault? RefreshTokenFault { get; init; }

    public RefreshTokenState RefreshTokenState => this switch
    {
        { RefreshToken: null } => RefreshTokenState.None,
        { RefreshTokenFault.Kind: RefreshTokenFaultKind.Rejected } => RefreshTokenState.Rejected,
        { RefreshTokenFault.Kind: RefreshTokenFaultKind.Unreadable } => RefreshTokenState.Unreadable,
        _ => RefreshTokenState.Ok,
    };

    public ProtectedText? AccessToken { get; init; }

    /// <summary>From when the access token's life is counted: before its request was sent.</summary>
    public DateTimeOffset? AccessTokenIssuedAt { get; init; }

    public DateTimeOffset? AccessTokenExpiresOn { get; init; }

    /// <summary>
    /// Grows by one with each new set of tokens and with each removal; a write that was prepared for an older
    /// generation is void. Also part of the tokens' encryption.
    /// </summary>
    public required long Generation { get; init; }

    public Lease? Lease { get; init; }

    /// <summary>The attempt that wrote this generation, by which a write whose answer was lost is recognised.</summary>
    public string? CommitId { get; init; }

    /// <summary>
    /// The consent that was saved last. It identifies a write whose answer was lost, even after a later refresh or removal.
    /// </summary>
    public string? ConsentId { get; init; }

    public Failures? Failures { get; init; }

    public CountedRejections? CountedRejections { get; init; }

    /// <summary>Since when it is <see cref="InstanceStatus.ReinstallRequired"/>; also null where an earlier version marked it.</summary>
    public DateTimeOffset? MarkedAt { get; init; }

    public bool IsFailing => Status == InstanceStatus.Active && Failures is not null;

    /// <summary>When the sweep next processes it; null if never.</summary>
    public DateTimeOffset? DueAt { get; init; }

    /// <summary>When it was first saved here.</summary>
    public required DateTimeOffset InstalledAt { get; init; }

    /// <summary>When the site's owner last consented: at our Redirect URL, or as an import states.</summary>
    public DateTimeOffset? ConsentedAt { get; init; }

    public required DateTimeOffset UpdatedAt { get; init; }

    /// <summary>When its tokens were last obtained from Wix.</summary>
    public DateTimeOffset? RefreshedAt { get; init; }

    /// <summary>When it was last asked for, as far as a refresh has written it down.</summary>
    public DateTimeOffset? LastUsedAt { get; init; }

    public DateTimeOffset? RemovedAt { get; init; }

    /// <summary>Whether <c>ForgetInstance</c> removed it: only a new consent or an import with <c>revive</c> brings it back.</summary>
    public bool Forgotten { get; init; }

    /// <summary>By Wix's clock: the last consent, if Wix told. An older one that is saved late does not replace its tokens.</summary>
    public DateTimeOffset? WixConsentedAt { get; init; }

    /// <summary>By Wix's clock: the last consent or <c>AppInstalled</c>, by which events are ordered.</summary>
    public DateTimeOffset? WixInstalledAt { get; init; }

    /// <summary>By Wix's clock: the last <c>AppRemoved</c>, also one that changed nothing.</summary>
    public DateTimeOffset? WixRemovedAt { get; init; }

    /// <summary>
    /// By Wix's clock: an <c>AppRemoved</c> that may be an old one signed again; the next refresh shows whether it is. Null when there
    /// is no doubt.
    /// </summary>
    public DateTimeOffset? RemovalNotedAt { get; init; }

    /// <summary>
    /// Whether the site may have had the app before this installation, so that an old <c>AppRemoved</c> may still be
    /// on its way.
    /// </summary>
    public bool InstalledBefore { get; init; }

    /// <summary>When Wix accepted <c>APP_FINISHED_CONFIGURATION</c> for this installation (wix-protocol §6).</summary>
    public DateTimeOffset? SetupCompletedAt { get; init; }

    /// <summary>Whether the sweep has still to send <c>APP_FINISHED_CONFIGURATION</c>.</summary>
    public bool SetupPending { get; init; }

    /// <summary>When a consent last named another customer than <see cref="Customer"/>, which stayed.</summary>
    public DateTimeOffset? CustomerConflictAt { get; init; }

    /// <summary>When an import last replaced its tokens.</summary>
    public DateTimeOffset? ImportedAt { get; init; }

    /// <summary>
    /// The sequence of the last event that was written for it. The store sets it, so that events stay in order although
    /// the clocks of processes differ.
    /// </summary>
    public long? EventSequence { get; init; }
}

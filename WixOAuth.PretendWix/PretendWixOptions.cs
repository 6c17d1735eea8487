using Microsoft.Extensions.Logging.Abstractions;

namespace WixOAuth.PretendWix;

/// <summary>What a <see cref="PretendWixServer"/> is started with.</summary>
public sealed class PretendWixOptions
{
    /// <summary>Where it listens; port 0 takes a free one.</summary>
    public Uri ListenUrl { get; init; } = new("http://127.0.0.1:0");

    /// <summary>The id of the one app that this Wix knows.</summary>
    public required string AppId { get; init; }

    /// <summary>That app's secret; <see cref="PretendWixControl.RotateAppSecret"/> changes it later.</summary>
    public required string AppSecret { get; init; }

    /// <summary>What the app is called on the pages.</summary>
    public string AppName { get; init; } = "Your app";

    /// <summary>The App URL (wix-protocol §2); can also be set on the running server.</summary>
    public Uri? AppUrl { get; init; }

    /// <summary>The registered Redirect URL (wix-protocol §3); can also be set on the running server.</summary>
    public Uri? RedirectUrl { get; init; }

    /// <summary>Where webhooks go (wix-protocol §10); can also be set on the running server. None sends none.</summary>
    public Uri? WebhookUrl { get; init; }

    /// <summary>
    /// The secret that events are signed with. With one, this Wix also plays the user's own app that receives them, at
    /// <see cref="PretendWixServer.EventsUrl"/>.
    /// </summary>
    public string? EventsSecret { get; init; }

    /// <summary>A file in which sites, installs and keys outlive the process; none keeps them in memory.</summary>
    public string? StateFile { get; init; }

    /// <summary>The clock by which codes and tokens live and die.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Where it logs; no message holds a secret.</summary>
    public ILoggerFactory LoggerFactory { get; init; } = NullLoggerFactory.Instance;

    /// <summary>Whether a text is the app's id, in either case.</summary>
    internal bool IsAppId(string? text) => string.Equals(text, AppId, StringComparison.OrdinalIgnoreCase);
}

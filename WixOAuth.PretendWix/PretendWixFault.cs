namespace WixOAuth.PretendWix;

/// <summary>How an endpoint goes wrong.</summary>
public enum PretendWixFaultKind
{
    /// <summary>Answers <see cref="PretendWixFault.Status"/>; nothing is done.</summary>
    Status,

    /// <summary>Cuts the connection; nothing is done.</summary>
    ResetBefore,

    /// <summary>Does its work, then cuts the connection: the caller cannot know.</summary>
    ResetAfter,

    /// <summary>Never answers; nothing is done.</summary>
    Hang,

    /// <summary>Does its work, then never answers.</summary>
    HangAfter,

    /// <summary>Does its work, then answers 200 with JSON that ends too early.</summary>
    MalformedJson,

    /// <summary>Does its work, then answers 200 with an empty object.</summary>
    MissingFields,

    /// <summary>Answers 302 to <c>/_elsewhere</c>, whose visits are counted; nothing is done.</summary>
    Redirect,
}

/// <summary>One way in which an endpoint goes wrong, for the next few calls or for all.</summary>
public sealed record PretendWixFault
{
    /// <summary>What happens.</summary>
    public PretendWixFaultKind Kind { get; init; }

    /// <summary>The status of <see cref="PretendWixFaultKind.Status"/>.</summary>
    public int Status { get; init; } = 500;

    /// <summary>The <c>Retry-After</c> of <see cref="PretendWixFaultKind.Status"/>: seconds or an HTTP date.</summary>
    public string? RetryAfter { get; init; }

    /// <summary>The body of <see cref="PretendWixFaultKind.Status"/>; none gives an error in Wix's shape.</summary>
    public string? Body { get; init; }

    /// <summary>For how many calls; none means for all, until healed.</summary>
    public int? Times { get; init; }

    /// <summary>Only for calls about this instance.</summary>
    public Guid? InstanceId { get; init; }

    /// <summary>Only for calls with this <c>grant_type</c>.</summary>
    public string? Grant { get; init; }

    internal void Validate()
    {
        if (Status is < 200 or > 599 || Times < 0 || !Enum.IsDefined(Kind))
        {
            throw new ArgumentException("A fault has a known kind, a status from 200 to 599, and no negative number of times.");
        }
    }
}

/// <summary>A fault with the number of calls it has left.</summary>
internal sealed class ArmedFault(PretendWixFault fault)
{
    private int _left = fault.Times ?? int.MaxValue;

    public PretendWixFault Fault => fault;

    public int? Left => fault.Times is null ? null : Math.Max(0, Volatile.Read(ref _left));

    public bool TryTake(string? grant, Guid? instanceId)
    {
        if ((fault.Grant is not null && fault.Grant != grant) || (fault.InstanceId is not null && fault.InstanceId != instanceId))
        {
            return false;
        }

        return fault.Times is null || (Volatile.Read(ref _left) > 0 && Interlocked.Decrement(ref _left) >= 0);
    }
}

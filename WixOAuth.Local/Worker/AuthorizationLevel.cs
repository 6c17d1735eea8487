namespace Microsoft.Azure.Functions.Worker;

/// <summary>Stands in for the real worker's enumeration of this name: which key a request has to show.</summary>
public enum AuthorizationLevel
{
    /// <summary>None.</summary>
    Anonymous,

    /// <summary>A user's token; here a function key, since there are no users.</summary>
    User,

    /// <summary>A function key, or the master key.</summary>
    Function,

    /// <summary>A system key; here the master key, since there are no others.</summary>
    System,

    /// <summary>The master key, <c>Functions__Key</c>.</summary>
    Admin,
}

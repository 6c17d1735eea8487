namespace Microsoft.Azure.Functions.Worker;

/// <summary>Stands in for the real worker's enumeration of this name: which key a request has to show.</summary>
public enum AuthorizationLevel
{
    /// <summary>None.</summary>
    Anonymous,

    /// <summary>A user's token; here the function key, since there are no users.</summary>
    User,

    /// <summary>The function key.</summary>
    Function,

    /// <summary>A system key; here the function key.</summary>
    System,

    /// <summary>The master key; here the function key.</summary>
    Admin,
}

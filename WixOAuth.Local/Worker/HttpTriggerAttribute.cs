namespace Microsoft.Azure.Functions.Worker;

/// <summary>Stands in for the real worker's attribute of this name: a function that answers HTTP requests.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
public sealed class HttpTriggerAttribute : Attribute
{
    /// <summary>Every method, with a function key.</summary>
    public HttpTriggerAttribute()
        : this(AuthorizationLevel.Function, [])
    {
    }

    /// <summary>These methods, with a function key: the Functions host asks for one wherever no level is given.</summary>
    public HttpTriggerAttribute(params string[] methods)
        : this(AuthorizationLevel.Function, methods)
    {
    }

    /// <summary>Every method, at this level.</summary>
    public HttpTriggerAttribute(AuthorizationLevel authLevel)
        : this(authLevel, [])
    {
    }

    /// <summary>These methods, at this level.</summary>
    public HttpTriggerAttribute(AuthorizationLevel authLevel, params string[] methods)
    {
        AuthLevel = authLevel;
        Methods = methods;
    }

    /// <summary>The route below the prefix of host.json; without it, the function's name.</summary>
    public string? Route { get; set; }

    /// <summary>The methods that are answered; none given means all.</summary>
    public IReadOnlyList<string> Methods { get; }

    /// <summary>Which key a request has to show.</summary>
    public AuthorizationLevel AuthLevel { get; }
}

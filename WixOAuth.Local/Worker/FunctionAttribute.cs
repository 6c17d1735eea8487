namespace Microsoft.Azure.Functions.Worker;

/// <summary>Stands in for the real worker's attribute of this name: makes a method a function.</summary>
/// <param name="name">The function's name; unique in the app, in whatever case.</param>
[AttributeUsage(AttributeTargets.Method)]
public sealed class FunctionAttribute(string name) : Attribute
{
    /// <summary>The function's name.</summary>
    public string Name { get; } = name;
}

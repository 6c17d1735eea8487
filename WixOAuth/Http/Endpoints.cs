using Microsoft.Extensions.DependencyInjection;

namespace WixOAuth.Http;

/// <summary>
/// The endpoints, for the function classes of the hosts. These classes have to be public, and so have the types that their
/// constructors take; everything else in this assembly is internal.
/// </summary>
public sealed class Endpoints
{
    private readonly IServiceProvider _services;

    internal Endpoints(IServiceProvider services) => _services = services;

    internal T Get<T>()
        where T : notnull => _services.GetRequiredService<T>();
}

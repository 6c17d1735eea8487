using Azure.Core;
using Azure.Identity;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace WixOAuth.Secrets;

/// <summary>The identity that this program signs in to Azure with.</summary>
internal static class AzureIdentity
{
    /// <summary>
    /// Registers one <see cref="TokenCredential"/> for all that is signed in to, made when the first of them asks for it:
    /// a laptop that uses none never looks for an identity. In Azure it is the managed identity (a user-assigned one
    /// by <c>AZURE_CLIENT_ID</c>), elsewhere who is signed in to the Azure CLI or an editor.
    /// </summary>
    public static IServiceCollection AddAzureIdentity(this IServiceCollection services)
    {
        services.TryAddSingleton<TokenCredential>(_ => new DefaultAzureCredential());
        return services;
    }
}

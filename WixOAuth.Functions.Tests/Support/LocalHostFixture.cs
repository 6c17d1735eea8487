using System.Security.Cryptography;
using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Local;

namespace WixOAuth.Functions.Tests.Support;

internal static class LocalHostFixture
{
    public const string Key = "a-function-key";

    /// <summary>Settings with which nothing needs to be started or kept.</summary>
    public static Dictionary<string, string?> Settings() => new()
    {
        ["urls"] = "http://127.0.0.1:0",
        ["Functions__Key"] = Key,
        ["Functions__DisableTimers"] = "true",
        ["Wix__AppId"] = "an-app",
        ["Wix__AppSecret"] = "a-secret",
        ["Wix__RedirectUrl"] = "http://127.0.0.1:7071/api/redirect",
        ["Wix__ApiUrl"] = "http://127.0.0.1:1",
        ["Tables__ConnectionString"] = "UseDevelopmentStorage=true",
        ["Tokens__ProtectionKey"] = Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)),
        ["TickSchedule"] = "*/10 * * * * *",
    };

    /// <summary>Starts sample functions, without the service itself.</summary>
    public static Task<LocalHost> StartAsync(
        Type functions, Dictionary<string, string?>? settings = null, Action<IServiceCollection>? add = null) =>
        LocalHost.StartAsync(LocalSettings.From(settings ?? Settings()), new FunctionMap([functions]), add ?? (_ => { }), CancellationToken.None);
}

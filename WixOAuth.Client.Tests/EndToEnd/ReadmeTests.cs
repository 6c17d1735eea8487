using System.Net;
using System.Reflection;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Client.Tests.Support;

namespace WixOAuth.Client.Tests.EndToEnd;

/// <summary>The .NET snippets of README.md and of the package's README.md, compiled and run. The others are run by the tests of clients/js.</summary>
[Collection(nameof(LocalProgram))]
public sealed partial class ReadmeTests(LocalProgram program)
{
    [Fact]
    public async Task The_snippet_of_asking_for_a_token_gets_one()
    {
        var instance = await program.InstallAsync("Rosemary & Rye");
        var snippet = Snippet().Match(Repository.Read("README.md"));
        Assert.True(snippet.Success);
        var assembly = await Compiler.CompileAsync($$"""
            using System;
            using System.Threading.Tasks;
            {{snippet.Groups["usings"].Value}}

            public static class Snippet
            {
                public static void Register(IServiceCollection services, string key)
                {
                    {{snippet.Groups["register"].Value.Replace("https://YOUR-APP.azurewebsites.net", program.Url.ToString(), StringComparison.Ordinal)}}
                }

                public static async Task<string> AskAsync(IWixTokenClient tokens, Guid instanceId)
                {
                    {{snippet.Groups["ask"].Value}}
                    return token;
                }
            }
            """);
        var services = new ServiceCollection();
        Method(assembly, "Register").Invoke(null, [services, LocalProgram.FunctionKey]);
        await using var provider = services.BuildServiceProvider();

        var token = await (Task<string>)Method(assembly, "AskAsync").Invoke(null, [provider.GetRequiredService<IWixTokenClient>(), instance])!;

        Assert.Equal("Rosemary & Rye", await program.SiteOfAsync(token));
    }

    [Fact]
    public async Task The_snippets_of_the_package_call_Wix_and_verify_an_event()
    {
        const string Secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
        var instance = await program.InstallAsync("Sage & Thyme");
        var snippets = CSharp().Matches(Repository.Read("WixOAuth.Client", "README.md")).Select(match => match.Groups[1].Value).ToList();
        Assert.Equal(3, snippets.Count);
        var assembly = await Compiler.CompileAsync($$"""
            using System;
            using System.IO;
            using System.Net.Http;
            using System.Threading.Tasks;
            using Microsoft.AspNetCore.Builder;
            using Microsoft.AspNetCore.Http;
            using Microsoft.Extensions.Configuration;
            using Microsoft.Extensions.DependencyInjection;
            using WixOAuth.Client;

            public static class Snippet
            {
                public static void Register(IServiceCollection services, IConfiguration configuration)
                {
                    {{snippets[0].Replace("https://YOUR-APP.azurewebsites.net", $"{program.Url}", StringComparison.Ordinal).Replace("https://www.wixapis.com", $"{program.WixUrl}", StringComparison.Ordinal)}}
                }

                public static async Task<string> AskAsync(IHttpClientFactory clients, Guid instanceId)
                {
                    {{snippets[1]}}
                    return await response.Content.ReadAsStringAsync();
                }

                public static void Map(WebApplication app, EventVerifier verifier)
                {
                    {{snippets[2]}}
                }
            }
            """);
        var configuration = new ConfigurationBuilder().AddInMemoryCollection([KeyValuePair.Create("WixOAuth:Key", (string?)LocalProgram.FunctionKey)]).Build();
        var services = new ServiceCollection();
        Method(assembly, "Register").Invoke(null, [services, configuration]);
        await using var provider = services.BuildServiceProvider();

        var site = await (Task<string>)Method(assembly, "AskAsync").Invoke(null, [provider.GetRequiredService<IHttpClientFactory>(), instance])!;

        using var json = JsonDocument.Parse(site);
        Assert.Equal("Sage & Thyme", json.RootElement.GetProperty("site").GetProperty("siteDisplayName").GetString());

        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        await using var app = builder.Build();
        Method(assembly, "Map").Invoke(null, [app, new EventVerifier(Secret)]);
        await app.StartAsync();
        const string Body = """{"specversion":"1.0","id":"e-1","source":"https://tokens.example","type":"instance.connected","data":{"instance_id":"0f0e0d0c-0b0a-4a0b-8c0d-0e0f00000002"}}""";
        Assert.Equal(HttpStatusCode.NoContent, await SignedEvent.SendAsync(app.Urls.Single(), Secret, Body));
        Assert.Equal(HttpStatusCode.InternalServerError, await SignedEvent.SendAsync(app.Urls.Single(), "whsec_/////////////////////////////////w==", Body));
    }

    private static MethodInfo Method(Assembly assembly, string name) => assembly.GetType("Snippet")!.GetMethod(name)!;

    [GeneratedRegex("## Asking for a token\n.*?```csharp\n(?<usings>(?:using [^\n]*\n)+)\n(?<register>.*?)// Wherever[^\n]*\n(?<ask>.*?)```", RegexOptions.Singleline)]
    private static partial Regex Snippet();

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex CSharp();
}

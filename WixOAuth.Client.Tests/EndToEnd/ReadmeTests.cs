using System.Reflection;
using System.Text.RegularExpressions;
using Microsoft.Extensions.DependencyInjection;

namespace WixOAuth.Client.Tests.EndToEnd;

/// <summary>The .NET snippet of README.md, compiled and run. The other two are run by the tests of clients/js.</summary>
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

    private static MethodInfo Method(Assembly assembly, string name) => assembly.GetType("Snippet")!.GetMethod(name)!;

    [GeneratedRegex("## Asking for a token\n.*?```csharp\n(?<usings>(?:using [^\n]*\n)+)\n(?<register>.*?)// Wherever[^\n]*\n(?<ask>.*?)```", RegexOptions.Singleline)]
    private static partial Regex Snippet();
}

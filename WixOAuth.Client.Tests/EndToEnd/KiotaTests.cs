using System.Diagnostics;
using System.Reflection;
using Microsoft.Kiota.Abstractions;
using Microsoft.Kiota.Abstractions.Authentication;
using Microsoft.Kiota.Http.HttpClientLibrary;

namespace WixOAuth.Client.Tests.EndToEnd;

/// <summary>A client that Kiota generates from docs/openapi.json compiles and gets a token.</summary>
[Collection(nameof(LocalProgram))]
public sealed class KiotaTests(LocalProgram program)
{
    [Fact]
    public async Task A_generated_client_gets_a_token()
    {
        var instance = await program.InstallAsync("Generated");
        var folder = Directory.CreateTempSubdirectory("wixoauth-kiota-").FullName;
        Assembly generated;
        try
        {
            await GenerateAsync(folder);
            generated = await Compiler.CompileAsync(
                """
                using System;
                using System.Threading.Tasks;
                using Microsoft.Kiota.Abstractions;

                public static class Snippet
                {
                    public static async Task<string?> AskAsync(IRequestAdapter adapter, Guid instance) =>
                        (await new Generated.TokensClient(adapter).Api.Instances[instance].Token.GetAsync())?.AccessToken;
                }
                """,
                Directory.GetFiles(folder, "*.cs", SearchOption.AllDirectories));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        using var http = new HttpClient();
        using var adapter = new HttpClientRequestAdapter(new WithKey(), httpClient: http) { BaseUrl = program.Url.ToString().TrimEnd('/') };
        var token = await (Task<string?>)generated.GetType("Snippet")!.GetMethod("AskAsync")!.Invoke(null, [adapter, instance])!;

        Assert.Equal("Generated", await program.SiteOfAsync(token!));
    }

    private static async Task GenerateAsync(string folder)
    {
        string[] arguments =
        [
            "tool", "run", "kiota", "generate", "-l", "CSharp", "-d", Path.Combine(Repository.Root, "docs", "openapi.json"),
            "-o", folder, "-n", "Generated", "-c", "TokensClient", "--log-level", "Error",
        ];
        using var process = Process.Start(new ProcessStartInfo("dotnet", arguments)
        {
            WorkingDirectory = Repository.Root,
            RedirectStandardOutput = true,
            Environment = { ["KIOTA_TUTORIAL_ENABLED"] = "false", ["KIOTA_OFFLINE_ENABLED"] = "true" },
        })!;
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, output);
    }

    private sealed class WithKey : IAuthenticationProvider
    {
        public Task AuthenticateRequestAsync(
            RequestInformation request, Dictionary<string, object>? additionalAuthenticationContext = null, CancellationToken cancellationToken = default)
        {
            request.Headers.Add("x-functions-key", LocalProgram.FunctionKey);
            return Task.CompletedTask;
        }
    }
}

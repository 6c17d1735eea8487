using System.Diagnostics;

namespace WixOAuth.Functions.Tests.Infra;

/// <summary>The hook that makes the protection key, with an <c>az</c> that notes what it is given.</summary>
public sealed class ProtectionKeyHookTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory();

    [SkippableFact]
    public async Task A_missing_key_is_made_of_32_bytes_and_shown_to_nobody()
    {
        var (exitCode, output, calls, key) = await RunAsync("ERROR: (SecretNotFound) A secret was not found in this key vault.");

        Assert.Equal(0, exitCode);
        Assert.Equal(32, Convert.FromBase64String(key).Length);
        Assert.DoesNotContain(key, output + calls, StringComparison.Ordinal);
        Assert.Contains("--file /dev/stdin --encoding utf-8", calls, StringComparison.Ordinal);
        Assert.Contains("https://app/api/webhooks", output, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task Each_key_is_another()
    {
        var first = await RunAsync("(SecretNotFound)");
        var second = await RunAsync("(SecretNotFound)");

        Assert.NotEqual(first.Key, second.Key);
    }

    [SkippableFact]
    public async Task A_key_that_is_there_is_left_alone()
    {
        var (exitCode, _, calls, key) = await RunAsync(answer: "");

        Assert.Equal(0, exitCode);
        Assert.DoesNotContain("secret set", calls, StringComparison.Ordinal);
        Assert.Equal("", key);
    }

    [SkippableTheory]
    [InlineData("(Forbidden) Inner error: ForbiddenByRbac", 2)]
    [InlineData("(Forbidden) Inner error: ForbiddenByConnection", 1)]
    [InlineData("Connection refused", 1)]
    public async Task Where_the_vault_cannot_tell_no_key_is_made(string answer, int asked)
    {
        var (exitCode, _, calls, key) = await RunAsync(answer);

        Assert.Equal(1, exitCode);
        Assert.Equal(asked, calls.Split("secret show").Length - 1);
        Assert.Equal("", key);
    }

    [SkippableFact]
    public async Task A_pipeline_that_is_not_to_touch_secrets_does_not_even_ask()
    {
        var (exitCode, _, calls, _) = await RunAsync("(SecretNotFound)", ("VAULT_OFFICER_PRINCIPAL_ID", "somebody else"));

        Assert.Equal(0, exitCode);
        Assert.Equal("", calls);
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private async Task<(int ExitCode, string Output, string Calls, string Key)> RunAsync(
        string answer, params (string Name, string Value)[] environment)
    {
        Skip.If(OperatingSystem.IsWindows(), "The hook is a shell script; Windows has its own.");
        var (calls, key) = (In("calls"), In("key"));
        await File.WriteAllTextAsync(calls, "");
        await File.WriteAllTextAsync(key, "");
        var start = new ProcessStartInfo("sh", [Path.Combine(Bicep.Folder, "hooks", "postprovision.sh")])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        (string Name, string Value)[] needed =
        [
            ("PATH", $"{Path.Combine(Bicep.Root, "WixOAuth.Functions.Tests", "Infra", "fake")}:{Environment.GetEnvironmentVariable("PATH")}"), ("CALLS", calls), ("KEY", key), ("ANSWER", answer),
            ("ATTEMPTS", "2"), ("SECONDS_BETWEEN", "0"), ("AZURE_KEY_VAULT_NAME", "kv"), ("AZURE_PRINCIPAL_ID", "me"),
            ("APP_URL", "https://app/api/install"), ("REDIRECT_URL", "https://app/api/redirect"), ("WEBHOOK_URL", "https://app/api/webhooks"),
        ];
        foreach (var (name, value) in needed.Concat(environment))
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, output + await error, await File.ReadAllTextAsync(calls), await File.ReadAllTextAsync(key));
    }

    private string In(string name) => Path.Combine(_folder.FullName, name);
}

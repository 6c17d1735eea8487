using System.Diagnostics;

namespace WixOAuth.Programs.Tests.Infra;

/// <summary>azd's hooks, with an <c>az</c> that notes what it is given.</summary>
public sealed class HookTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [SkippableFact]
    public async Task A_missing_key_is_generated_with_32_bytes_and_not_shown()
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
    public async Task No_key_is_generated_where_the_vault_cannot_be_read(string answer, int asked)
    {
        var (exitCode, _, calls, key) = await RunAsync(answer);

        Assert.Equal(1, exitCode);
        Assert.Equal(asked, calls.Split("secret show").Length - 1);
        Assert.Equal("", key);
    }

    /// <summary>From outside it answers 403, which would fire the alert key-vault-denied with every deployment.</summary>
    [SkippableTheory]
    [InlineData("true")]
    [InlineData("True")]
    public async Task A_vault_that_the_private_network_closes_is_not_asked(string privateNetwork)
    {
        var (exitCode, output, calls, key) = await RunAsync("(SecretNotFound)", ("PRIVATE_NETWORK", privateNetwork));

        Assert.Equal(0, exitCode);
        Assert.Contains("Not checked: whether the protection key is there.", output, StringComparison.Ordinal);
        Assert.Contains("https://app/api/health", output, StringComparison.Ordinal);
        Assert.Contains("https://app/api/webhooks", output, StringComparison.Ordinal);
        Assert.DoesNotContain("keyvault", calls, StringComparison.Ordinal);
        Assert.Equal("", key);
    }

    [SkippableFact]
    public async Task Inside_the_private_network_a_missing_key_is_generated()
    {
        var (exitCode, _, _, key) = await RunAsync("(SecretNotFound)", ("PRIVATE_NETWORK", "true"), ("INSIDE_NETWORK", "true"));

        Assert.Equal(0, exitCode);
        Assert.Equal(32, Convert.FromBase64String(key).Length);
    }

    [SkippableTheory]
    [InlineData("prepare", "", "(Forbidden) Inner error: ForbiddenByConnection")]
    [InlineData("true", "true", "(Forbidden) Inner error: ForbiddenByConnection")]
    [InlineData("true", "true", "Please run 'az login' to setup account.")]
    public async Task A_vault_that_should_answer_fails_the_deployment(string privateNetwork, string insideNetwork, string answer)
    {
        var (exitCode, output, _, key) = await RunAsync(answer, ("PRIVATE_NETWORK", privateNetwork), ("INSIDE_NETWORK", insideNetwork));

        Assert.Equal(1, exitCode);
        Assert.Contains(answer, output, StringComparison.Ordinal);
        Assert.Equal("", key);
    }

    [SkippableTheory]
    [InlineData("me")]
    [InlineData("")]
    public async Task A_deployer_without_the_vault_role_does_not_touch_the_secrets(string signedIn)
    {
        var (exitCode, output, calls, key) = await RunAsync("(SecretNotFound)", ("VAULT_OFFICER_PRINCIPAL_ID", "officer"), ("SIGNED_IN", signedIn));

        Assert.Equal(0, exitCode);
        Assert.DoesNotContain("keyvault", calls, StringComparison.Ordinal);
        Assert.Equal("", key);
        Assert.Contains("left to officer", output, StringComparison.Ordinal);
    }

    /// <summary>azd does not hand AZURE_PRINCIPAL_ID to its hooks: they have to find out who is signed in.</summary>
    [SkippableFact]
    public async Task The_vault_officer_creates_the_key()
    {
        var (exitCode, _, _, key) = await RunAsync("(SecretNotFound)", ("VAULT_OFFICER_PRINCIPAL_ID", "officer"), ("SIGNED_IN", "officer"));

        Assert.Equal(0, exitCode);
        Assert.Equal(32, Convert.FromBase64String(key).Length);
    }

    [SkippableTheory]
    [InlineData("false", "")]
    [InlineData("False", "")]
    [InlineData("", "")]
    [InlineData("prepare", "provider register --namespace Microsoft.App --subscription sub --wait\n")]
    [InlineData("true", "provider register --namespace Microsoft.App --subscription sub --wait\n")]
    public async Task The_provider_of_the_subnets_delegation_is_registered_for_a_private_network(string privateNetwork, string calls)
    {
        var run = await RunHookAsync("preprovision.sh", "", ("PRIVATE_NETWORK", privateNetwork));

        Assert.Equal(0, run.ExitCode);
        Assert.Equal(calls, run.Calls);
    }

    [SkippableFact]
    public async Task A_provider_that_cannot_be_registered_ends_the_deployment()
    {
        var run = await RunHookAsync("preprovision.sh", "", ("PRIVATE_NETWORK", "true"), ("PROVIDER_EXIT", "1"));

        Assert.NotEqual(0, run.ExitCode);
    }

    [Fact]
    public void Both_hooks_after_a_deployment_leave_a_closed_vault_alone()
    {
        Assert.All(["postprovision.sh", "postprovision.ps1"], hook =>
        {
            var text = File.ReadAllText(Path.Combine(Bicep.Folder, "hooks", hook));
            Assert.InRange(text.IndexOf("INSIDE_NETWORK", StringComparison.Ordinal), 0, text.IndexOf("az keyvault secret show", StringComparison.Ordinal));
        });
    }

    [Fact]
    public void Both_hooks_are_run_by_azd_on_every_system()
    {
        var azd = File.ReadAllText(Path.Combine(Bicep.Root, "azure.yaml"));

        Assert.All(
            Directory.GetFiles(Path.Combine(Bicep.Folder, "hooks")),
            file => Assert.Contains($"\n      run: infra/hooks/{Path.GetFileName(file)}\n", azd, StringComparison.Ordinal));
        Assert.Contains("\n  preprovision:\n", azd, StringComparison.Ordinal);
        Assert.Contains("\n  postprovision:\n", azd, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();

    private Task<(int ExitCode, string Output, string Calls, string Key)> RunAsync(
        string answer, params (string Name, string Value)[] environment) => RunHookAsync("postprovision.sh", answer, environment);

    private async Task<(int ExitCode, string Output, string Calls, string Key)> RunHookAsync(
        string hook, string answer, params (string Name, string Value)[] environment)
    {
        Skip.If(OperatingSystem.IsWindows(), "The hook is a shell script; Windows has its own.");
        var (calls, key) = (In("calls"), In("key"));
        await File.WriteAllTextAsync(calls, "");
        await File.WriteAllTextAsync(key, "");
        var start = new ProcessStartInfo("sh", [Path.Combine(Bicep.Folder, "hooks", hook)])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        (string Name, string Value)[] needed =
        [
            ("PATH", $"{Path.Combine(Bicep.Root, "WixOAuth.Programs.Tests", "Infra", "fake")}:{Environment.GetEnvironmentVariable("PATH")}"), ("CALLS", calls), ("KEY", key), ("ANSWER", answer),
            ("ATTEMPTS", "2"), ("SECONDS_BETWEEN", "0"), ("AZURE_KEY_VAULT_NAME", "kv"),
            ("SIGNED_IN", "me"), ("AZURE_SUBSCRIPTION_ID", "sub"),
            ("APP_URL", "https://app/api/install"), ("REDIRECT_URL", "https://app/api/redirect"), ("WEBHOOK_URL", "https://app/api/webhooks"),
        ];
        start.Environment.Remove("AZURE_PRINCIPAL_ID");
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

    private string In(string name) => Path.Combine(_folder.Path, name);
}

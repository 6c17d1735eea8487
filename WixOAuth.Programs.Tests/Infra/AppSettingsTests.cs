using System.Text.Json;
using WixOAuth.Settings;

namespace WixOAuth.Programs.Tests.Infra;

/// <summary>Code, Bicep and the sample name the same settings.</summary>
public class AppSettingsTests
{
    /// <summary>What the Functions host and the Azure SDK read.</summary>
    private static readonly string[] s_readByAzure =
    [
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "AZURE_CLIENT_ID",
        "AZURE_TOKEN_CREDENTIALS",
        "AzureWebJobsDisableHomepage",
        "AzureWebJobs_RefreshShard_Disabled",
        "AzureWebJobsStorage__blobServiceUri",
        "AzureWebJobsStorage__clientId",
        "AzureWebJobsStorage__credential",
        "AzureWebJobsStorage__tableServiceUri",
        "Sweep__clientId",
        "Sweep__credential",
    ];

    [SkippableFact]
    public async Task Bicep_sets_every_required_setting_with_a_valid_value()
    {
        // What only Azure can tell is an expression in the prediction.
        var settings = (await Bicep.Guarded).AppSettings.ToDictionary(setting => setting.Key, setting => (string?)setting.Value);
        Assert.StartsWith("[reference(", settings["KeyVault__VaultUri"], StringComparison.Ordinal);
        Assert.StartsWith("[reference(", settings["Tables__ServiceUri"], StringComparison.Ordinal);
        Assert.StartsWith("[reference(", settings["Sweep__queueServiceUri"], StringComparison.Ordinal);
        settings["Sweep__queueServiceUri"] = "https://name.queue.core.windows.net/";
        settings["KeyVault__VaultUri"] = "https://name.vault.azure.net/";
        settings["Tables__ServiceUri"] = "https://name.table.core.windows.net/";
        Assert.StartsWith("[reference(", settings["Backup__ServiceUri"], StringComparison.Ordinal);
        settings["Backup__ServiceUri"] = "https://name.blob.core.windows.net/";

        var read = ServiceSettings.Read(new SettingRecorder(settings));

        Assert.Empty(read.Problems);
        Assert.Equal("https://apps.example.com/api/redirect", read.Wix.RedirectUrl.AbsoluteUri);
        Assert.True(read.Wix.ClientCredentialsFallback);
    }

    [SkippableFact]
    public async Task Without_a_domain_the_Redirect_URL_is_on_the_Function_App_itself()
    {
        Assert.Matches(
            @"^\[format\('https://\{0\}/api/redirect', reference\('[^']+/sites/func-[a-z0-9]{13}', '[\d-]+'\)\.defaultHostName\)\]$",
            (await Bicep.Usual).AppSettings["Wix__RedirectUrl"]);
    }

    [SkippableFact]
    public async Task Every_setting_of_Bicep_is_read()
    {
        var names = (await Bicep.Usual).AppSettings.Keys.Union((await Bicep.Guarded).AppSettings.Keys).ToList();

        Assert.Empty(names.Except(SettingNames.ReadByCode()).Except(SettingNames.Schedules()).Except(s_readByAzure));
        Assert.Empty(SettingNames.Schedules().Except(names));
    }

    [Fact]
    public void The_sample_names_every_setting_and_no_other()
    {
        using var sample = JsonDocument.Parse(File.ReadAllText(Path.Combine(Bicep.Root, "local.settings.sample.json")));
        var names = sample.RootElement.GetProperty("Values").EnumerateObject().Select(setting => setting.Name).ToList();
        string[] ofTheHosts = ["AzureWebJobsStorage", "FUNCTIONS_WORKER_RUNTIME", "Functions__DisableTimers", "Functions__Key"];

        Assert.Equal(SettingNames.ReadByCode().Union(SettingNames.Schedules()).Union(ofTheHosts).Order(StringComparer.Ordinal), names.Order(StringComparer.Ordinal));
    }
}

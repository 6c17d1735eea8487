using System.Text.RegularExpressions;
using WixOAuth.Settings;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>The settings that the code reads.</summary>
internal static partial class SettingNames
{
    /// <summary>The names that are read with Key Vault and without.</summary>
    public static IEnumerable<string> ReadByCode()
    {
        var laptop = new SettingRecorder([]);
        var azure = new SettingRecorder(new() { ["KeyVault__VaultUri"] = "https://name.vault.azure.net" });
        ServiceSettings.Read(laptop);
        ServiceSettings.Read(azure);
        return laptop.Names.Union(azure.Names);
    }

    public static IEnumerable<string> Schedules() =>
        Schedule().Matches(File.ReadAllText(Path.Combine(Repository.Root, "WixOAuth.Functions", "Timers.cs"))).Select(match => match.Groups[1].Value);

    [GeneratedRegex("\"%(\\w+)%\"")]
    private static partial Regex Schedule();
}

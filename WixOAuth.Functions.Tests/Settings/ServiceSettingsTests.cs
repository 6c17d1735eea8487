using System.Security.Cryptography;
using System.Text;
using Azure.Data.Tables;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using Microsoft.Extensions.Configuration;
using WixOAuth.Functions.Tests.Events;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Protection;
using WixOAuth.Settings;

namespace WixOAuth.Functions.Tests.Settings;

public sealed class ServiceSettingsTests
{
    private static readonly string Pem = MakePem(2048);
    private static readonly string Key = Convert.ToBase64String(Enumerable.Range(0, 32).Select(i => (byte)i).ToArray());

    private static readonly (string Name, string? Value)[] Laptop =
    [
        ("Wix__AppId", "00000000-aaaa-bbbb-cccc-000000000000"),
        ("Wix__RedirectUrl", "https://apps.example.com/api/redirect"),
        ("Wix__AppSecret", "the-app-secret"),
        ("Tokens__ProtectionKey", Key),
        ("Tables__ConnectionString", "UseDevelopmentStorage=true"),
    ];

    private static readonly (string Name, string? Value)[] Azure =
    [
        ("Wix__AppSecret", null),
        ("Tokens__ProtectionKey", null),
        ("Tables__ConnectionString", null),
        ("KeyVault__VaultUri", "https://name.vault.azure.net/"),
        ("Tables__ServiceUri", "https://name.table.core.windows.net/"),
    ];

    [Fact]
    public void The_defaults_are_those_of_the_contract()
    {
        var settings = Read();

        Assert.Empty(settings.Problems);
        Assert.Equal("wix-app-secret", settings.Wix.AppSecretName);
        Assert.Empty(settings.Wix.WebhookPublicKeys);
        Assert.Equal(new Uri("https://www.wixapis.com"), settings.Wix.ApiUrl);
        Assert.Equal(new Uri("https://www.wix.com/installer"), settings.Wix.InstallerUrl);
        Assert.Equal(SetupCompletion.OnInstall, settings.Wix.SetupCompletion);
        Assert.True(settings.Wix.ClientCredentialsFallback);
        Assert.Null(settings.KeyVault.VaultUri);
        Assert.Null(settings.Tables.ServiceUri);
        Assert.Equal("WixInstances", settings.Tables.Name);
        Assert.Equal(TimeSpan.FromMinutes(5), settings.Tokens.Lifetime);
        Assert.Equal(TimeSpan.FromHours(1), settings.Tokens.IdleAfter);
        Assert.Equal(64, settings.Tokens.RefreshConcurrency);
        Assert.Equal("token-protection-key", settings.Tokens.ProtectionKeyName);
    }

    [Fact]
    public void Every_setting_is_read()
    {
        var settings = Read(
            ("Wix__WebhookPublicKey", Pem),
            ("Wix__ApiUrl", "http://127.0.0.1:8080/wix/"),
            ("Wix__InstallerUrl", "http://localhost:8080/installer"),
            ("Wix__SetupCompletion", "byapp"),
            ("Wix__ClientCredentialsFallback", "False"),
            ("Tables__Name", "Other1"),
            ("Tokens__Lifetime", "00:00:01"),
            ("Tokens__IdleAfter", "00:00:00"),
            ("Tokens__RefreshConcurrency", "7"));

        Assert.Empty(settings.Problems);
        Assert.Equal("00000000-aaaa-bbbb-cccc-000000000000", settings.Wix.AppId);
        Assert.Equal(new Uri("https://apps.example.com/api/redirect"), settings.Wix.RedirectUrl);
        Assert.Equal("the-app-secret", settings.Wix.AppSecret?.Reveal());
        Assert.Equal(ProtectionKey.IdOf(Convert.FromBase64String(Key)), settings.Tokens.ProtectionKey?.Id);
        Assert.Equal("UseDevelopmentStorage=true", settings.Tables.ConnectionString?.Reveal());
        Assert.Single(settings.Wix.WebhookPublicKeys);
        Assert.Equal("http://127.0.0.1:8080/wix", settings.Wix.ApiUrl.AbsoluteUri);
        Assert.Equal(new Uri("http://localhost:8080/installer"), settings.Wix.InstallerUrl);
        Assert.Equal(SetupCompletion.ByApp, settings.Wix.SetupCompletion);
        Assert.False(settings.Wix.ClientCredentialsFallback);
        Assert.Equal("Other1", settings.Tables.Name);
        Assert.Equal(TimeSpan.FromSeconds(1), settings.Tokens.Lifetime);
        Assert.Equal(TimeSpan.Zero, settings.Tokens.IdleAfter);
        Assert.Equal(7, settings.Tokens.RefreshConcurrency);
    }

    [Fact]
    public void On_Azure_names_of_resources_suffice()
    {
        var settings = Read([.. Azure, ("Wix__AppSecretName", "app-secret-2"), ("Tokens__ProtectionKeyName", "key-2"), ("Wix__WebhookPublicKeyName", "webhooks-2")]);

        Assert.Empty(settings.Problems);
        Assert.Equal(new Uri("https://name.vault.azure.net"), settings.KeyVault.VaultUri);
        Assert.Equal(new Uri("https://name.table.core.windows.net"), settings.Tables.ServiceUri);
        Assert.Equal(("app-secret-2", "key-2", "webhooks-2"), (settings.Wix.AppSecretName, settings.Tokens.ProtectionKeyName, settings.Wix.WebhookPublicKeyName));
        Assert.Null(settings.Wix.AppSecret);
        Assert.Null(settings.Tokens.ProtectionKey);
    }

    public static TheoryData<string, string?, string> Bad => new()
    {
        { "Wix__AppId", null, "the app's id" },
        { "Wix__AppId", "  ", "the app's id" },
        { "Wix__AppId", "an id!", "letters, digits and hyphens" },
        { "Wix__AppId", new string('a', 101), "the app's id" },
        { "Wix__RedirectUrl", null, "an absolute https URL" },
        { "Wix__RedirectUrl", "/api/redirect", "an absolute https URL" },
        { "Wix__RedirectUrl", "http://apps.example.com/api/redirect", "https" },
        { "Wix__RedirectUrl", "http://localhost.example.com/api/redirect", "https" },
        { "Wix__RedirectUrl", "https://apps.example.com/api/redirect?x=1", "without query" },
        { "Wix__RedirectUrl", "https://apps.example.com/api/redirect#x", "without query or fragment" },
        { "Wix__RedirectUrl", "https://user:pass@apps.example.com/api/redirect", "an absolute https URL" },
        { "Wix__RedirectUrl", "ftp://apps.example.com/", "https" },
        { "Wix__AppSecret", null, "should be given, or KeyVault__VaultUri" },
        { "Wix__AppSecret", "@Microsoft.KeyVault(SecretUri=https://name.vault.azure.net/secrets/wix-app-secret)", "has not resolved" },
        { "Wix__AppSecretName", "wix_app_secret", "1 to 127 letters, digits and hyphens" },
        { "Wix__AppSecretName", new string('a', 128), "1 to 127 letters, digits and hyphens" },
        { "Wix__WebhookPublicKey", "not a key", "PEM, or base64 of one" },
        { "Wix__WebhookPublicKey", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "RSA public key" },
        { "Wix__WebhookPublicKeyName", "wix_key", "1 to 127 letters, digits and hyphens" },
        { "Wix__WebhookPublicKeyName", "wix-webhook-public-key", "only together with KeyVault__VaultUri" },
        { "Wix__ApiUrl", "www.wixapis.example", "an absolute https URL" },
        { "Wix__ApiUrl", "http://www.wixapis.example", "http only for localhost" },
        { "Wix__InstallerUrl", "javascript:alert(1)", "an absolute https URL" },
        { "Wix__SetupCompletion", "Sometimes", "OnInstall, ByApp or Never" },
        { "Wix__SetupCompletion", "1", "OnInstall, ByApp or Never" },
        { "Wix__SetupCompletion", "+1", "OnInstall, ByApp or Never" },
        { "Wix__SetupCompletion", "OnInstall,Never", "OnInstall, ByApp or Never" },
        { "Wix__ClientCredentialsFallback", "yes", "true or false" },
        { "Wix__ClientCredentialsFallback", "1", "true or false" },
        { "KeyVault__VaultUri", "name.vault.azure.example", "an absolute https URL" },
        { "Tables__ConnectionString", "a-connection-string", "a storage connection string, or UseDevelopmentStorage=true" },
        { "Tables__ConnectionString", "DefaultEndpointsProtocol=https;AccountName=some-account", "a storage connection string" },
        { "Tables__ConnectionString", "AccountName=some-account;AccountKey=!!!", "a storage connection string" },
        { "Tables__Name", "1Table", "3 to 63 letters and digits, a letter first" },
        { "Tables__Name", "Wix-Instances", "3 to 63 letters and digits, a letter first" },
        { "Tables__Name", "ab", "3 to 63 letters and digits, a letter first" },
        { "Tables__Name", "Table\u0661", "3 to 63 letters and digits, a letter first" },
        { "Tokens__Lifetime", "00:00:00", "from 00:00:01" },
        { "Tokens__Lifetime", "-00:05:00", "hh:mm:ss" },
        { "Tokens__Lifetime", "300", "hh:mm:ss" },
        { "Tokens__Lifetime", "five minutes", "hh:mm:ss" },
        { "Tokens__IdleAfter", "-00:00:01", "hh:mm:ss" },
        { "Tokens__IdleAfter", "48:00:00", "d.hh:mm:ss from a day on" },
        { "Tokens__RefreshConcurrency", "0", "a whole number from 1 to 1024" },
        { "Tokens__RefreshConcurrency", "1025", "a whole number from 1 to 1024" },
        { "Tokens__RefreshConcurrency", "9.5", "a whole number from 1 to 1024" },
        { "Tokens__RefreshConcurrency", "99999999999", "a whole number from 1 to 1024" },
        { "Tokens__ProtectionKeyName", "key name", "1 to 127 letters, digits and hyphens" },
        { "Tokens__ProtectionKey", null, "should be given, or KeyVault__VaultUri" },
        { "Tokens__ProtectionKey", "not-base64-of-anything", "base64 of 32 random bytes" },
        { "Tokens__ProtectionKey", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", "base64 of 32 random bytes" },
    };

    [Theory]
    [MemberData(nameof(Bad))]
    public void A_bad_setting_is_one_line_with_its_name_and_what_it_should_be(string name, string? value, string shouldBe)
    {
        var problems = name == "KeyVault__VaultUri" ? Read([.. Azure, (name, value)]).Problems : Read((name, value)).Problems;

        var problem = Assert.Single(problems);
        Assert.StartsWith(name + " should ", problem, StringComparison.Ordinal);
        Assert.Contains(shouldBe, problem, StringComparison.Ordinal);
        Assert.EndsWith(".", problem, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', problem);
        if (value is { Length: > 6 } and not "00:00:00")
        {
            Assert.DoesNotContain(value, problem, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Several_bad_settings_are_all_listed()
    {
        var all = Bad.Select(row => (Name: (string)row[0], Value: (string?)row[1])).Where(row => row.Name != "KeyVault__VaultUri")
            .DistinctBy(row => row.Name).ToArray();

        var problems = Read(all).Problems;

        Assert.Equal(all.Select(row => row.Name).Order(), problems.Select(problem => problem.Split(' ')[0]).Order());
    }

    [Fact]
    public void Nothing_given_names_what_is_required()
    {
        var problems = ServiceSettings.Read(new ConfigurationBuilder().Build()).Problems;

        Assert.Equal(
            ["Tables__ServiceUri", "Tokens__ProtectionKey", "Wix__AppId", "Wix__AppSecret", "Wix__RedirectUrl"],
            problems.Select(problem => problem.Split(' ')[0]).Order());
    }

    [Fact]
    public void A_receiver_of_events_whose_address_is_not_resolved_stops_no_start()
    {
        var settings = Read([.. Azure, ("Events__Url", "@Microsoft.KeyVault(VaultName=name;SecretName=events-url)")]);

        Assert.Empty(settings.Problems);
        Assert.Equal("https://unresolved.invalid/", settings.Events.Url?.ToString());
    }

    [Fact]
    public void The_webhook_key_is_given_in_one_place()
    {
        var problems = Read([.. Azure, ("Wix__WebhookPublicKey", Pem), ("Wix__WebhookPublicKeyName", "wix-webhook-public-key")]).Problems;

        Assert.Equal(["Wix__WebhookPublicKey should not be given together with Wix__WebhookPublicKeyName."], problems);
    }

    [Fact]
    public void A_vault_refuses_the_secrets_themselves()
    {
        var problems = Read([.. Azure, ("Wix__AppSecret", "the-app-secret"), ("Tokens__ProtectionKey", "malformed-as-well")]).Problems;

        Assert.Equal(
            [
                "Wix__AppSecret should not be given together with KeyVault__VaultUri: put it into the vault under the name of Wix__AppSecretName.",
                "Tokens__ProtectionKey should not be given together with KeyVault__VaultUri: put it into the vault under the name of Tokens__ProtectionKeyName.",
            ],
            problems);
    }

    [Fact]
    public void The_URL_of_events_may_have_a_query_and_no_other()
    {
        const string Url = "https://app.example/api/events?code=k";

        Assert.Equal(Url, Core.Read(("Events__Url", Url), ("Events__Secret", EventReceiver.Secret)).Events.Url?.OriginalString);
        Assert.StartsWith("Events__Url should ", Assert.Single(Read(("Events__Url", $"{Url}#f"), ("Events__Secret", EventReceiver.Secret)).Problems), StringComparison.Ordinal);
        Assert.StartsWith("Wix__RedirectUrl should ", Assert.Single(Read(("Wix__RedirectUrl", Url)).Problems), StringComparison.Ordinal);
    }

    [Fact]
    public void A_malformed_vault_is_the_only_problem_of_what_is_in_it() =>
        Assert.StartsWith(
            "KeyVault__VaultUri should ",
            Assert.Single(Read([.. Azure, ("KeyVault__VaultUri", "name.vault.azure.example"), ("Events__Url", "https://app.example/events")]).Problems),
            StringComparison.Ordinal);

    [Theory]
    [InlineData("https://name.table.core.windows.net", "UseDevelopmentStorage=true")]
    [InlineData(null, null)]
    public void Exactly_one_way_to_reach_the_tables_is_required(string? serviceUri, string? connectionString)
    {
        var problems = Read(("Tables__ServiceUri", serviceUri), ("Tables__ConnectionString", connectionString)).Problems;

        Assert.Equal("Tables__ServiceUri or Tables__ConnectionString should be given, and only one of the two.", Assert.Single(problems));
    }

    [Fact]
    public void A_vault_is_named_without_a_path() =>
        Assert.Equal(
            "KeyVault__VaultUri should be the vault's URL without a path, as https://name.vault.azure.net.",
            Assert.Single(Read([.. Azure, ("KeyVault__VaultUri", "https://other.vault.azure.net/secrets/wix-app-secret")]).Problems));

    [Fact]
    public void The_redirect_url_stays_as_it_is_registered() =>
        Assert.Equal(
            "https://apps.example.com/api/redirect/",
            Read(("Wix__RedirectUrl", " https://apps.example.com/api/redirect/ ")).Wix.RedirectUrl.OriginalString);

    [Theory]
    [InlineData("UseDevelopmentStorage=true;", true)]
    [InlineData("UseDevelopmentStorage=false", false)]
    [InlineData("DefaultEndpointsProtocol=https;AccountName=some;AccountKey=AAAA;EndpointSuffix=core.windows.net", true)]
    [InlineData("DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=AAAA;TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;", true)]
    [InlineData("TableEndpoint=https://some.table.core.windows.net;SharedAccessSignature=sv=2019-02-02&sig=AAAA", true)]
    [InlineData("AccountName=some;SharedAccessSignature=sv=2019-02-02&sig=AAAA", true)]
    [InlineData("AccountName=some;AccountKey=", false)]
    [InlineData("AccountName=some;AccountKey=AAA", false)]
    [InlineData("AccountKey=AAAA;EndpointSuffix=core.windows.net", false)]
    [InlineData("TableEndpoint=https://some.table.core.windows.net", false)]
    [InlineData("TableEndpoint=here;SharedAccessSignature=sv=2019-02-02&sig=AAAA", false)]
    [InlineData("SharedAccessSignature=sv=2019-02-02&sig=AAAA", false)]
    [InlineData(";", false)]
    [InlineData("UseDevelopmentStorage=True", false)]
    [InlineData("UseDevelopmentStorage=true;UseDevelopmentStorage=true", false)]
    [InlineData("AccountName=some;AccountKey=AAAA;AccountKey=AAAA", false)]
    [InlineData("AccountName=some;AccountKey=AAAA;EndpointSuffix=no host", false)]
    [InlineData("accountname=some;ACCOUNTKEY=AAAA", true)]
    public void Connection_strings_are_taken_that_Azures_own_client_takes(string text, bool taken)
    {
        Assert.Equal(taken, Record.Exception(() => new TableServiceClient(text)) is null);
        Assert.Equal(taken, Read(("Tables__ConnectionString", text)).Problems.Count == 0);
    }

    // What is taken here and refused by the client would fail at the first use, function by function.
    [Theory]
    [InlineData("UseDevelopmentStorage=true", true)]
    [InlineData("DefaultEndpointsProtocol=https;AccountName=some;AccountKey=AAAA;EndpointSuffix=core.windows.net", true)]
    [InlineData("AccountName=some;AccountKey=AAAA;AccountKey=AAAA", false)]
    [InlineData("DefaultEndpointsProtocol=https; AccountName=some;AccountKey=AAAA", false)]
    [InlineData("DefaultEndpointsProtocol=ftp;AccountName=some;AccountKey=AAAA", false)]
    [InlineData("AccountName=some;AccountKey=AAAA;SharedAccessSignature=sv=2019-02-02&sig=AAAA", false)]
    [InlineData("AccountName=some;AccountKey=AAAA;EndpointSuffix=no host", false)]
    [InlineData("AccountName=some;AccountKey=AAA", false)]
    [InlineData("BlobEndpoint=https://some.blob.core.windows.net;QueueEndpoint=https://some.queue.core.windows.net", false)]
    [InlineData("AccountName=some", false)]
    [InlineData("AccountName=some;AccountKey=", false)]
    [InlineData("TableEndpoint=https://some.table.core.windows.net;SharedAccessSignature=sv=2019-02-02&sig=AAAA", false)]
    public void A_connection_string_of_copies_or_of_the_sweep_is_taken_only_if_Azures_own_client_takes_it(string text, bool taken)
    {
        (string Name, Action Open)[] settings = [("Backup__ConnectionString", () => _ = new BlobServiceClient(text)), ("Sweep", () => _ = new QueueServiceClient(text))];
        Assert.All(settings, setting =>
        {
            var problems = Read((setting.Name, text)).Problems;

            Assert.Equal(taken ? [] : [$"{setting.Name} should be a storage connection string, or UseDevelopmentStorage=true."], problems);
            Assert.True(problems.Count > 0 || Record.Exception(setting.Open) is null);
        });
    }

    [Fact]
    public void Every_form_of_public_keys_is_taken()
    {
        string[] forms =
        [
            Pem,
            Pem.Replace("\n", "\r\n", StringComparison.Ordinal),
            Pem.Replace("\n", "\\n", StringComparison.Ordinal),
            Pem.Replace("\n", " ", StringComparison.Ordinal),
            Convert.ToBase64String(Encoding.ASCII.GetBytes(Pem)),
        ];

        Assert.All(forms, form =>
        {
            var settings = Read(("Wix__WebhookPublicKey", form));
            Assert.Empty(settings.Problems);
            using var key = RSA.Create();
            key.ImportFromPem(Assert.Single(settings.Wix.WebhookPublicKeys));
        });
        Assert.Equal(2, Read(("Wix__WebhookPublicKey", Pem + "\n" + MakePem(2048))).Wix.WebhookPublicKeys.Count);
        Assert.Single(Read(("Wix__WebhookPublicKey", MakePem(1024))).Problems);
        Assert.Single(Read(("Wix__WebhookPublicKey", Pem + "\n" + MakePem(2048)[..100])).Problems);
        Assert.Single(Read(("Wix__WebhookPublicKey", Pem + "\n" + Pem.Replace("PUBLIC KEY", "CERTIFICATE", StringComparison.Ordinal))).Problems);
    }

    private static ServiceSettings Read(params (string Name, string? Value)[] changes)
    {
        var values = Laptop.Concat(changes).GroupBy(setting => setting.Name.Replace("__", ":", StringComparison.Ordinal))
            .ToDictionary(setting => setting.Key, setting => setting.Last().Value);
        return ServiceSettings.Read(new ConfigurationBuilder().AddInMemoryCollection(values).Build());
    }

    private static string MakePem(int bits)
    {
        using var rsa = RSA.Create(bits);
        return rsa.ExportSubjectPublicKeyInfoPem();
    }
}

using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Options;
using WixOAuth.Local;

namespace WixOAuth.Programs.Tests.Local;

public sealed class LocalSettingsTests : IDisposable
{
    private const string Variable = "Wixoauth_Test__Setting";
    private readonly TemporaryFolder _folder = new();

    public void Dispose()
    {
        Environment.SetEnvironmentVariable(Variable, null);
        _folder.Dispose();
    }

    [Fact]
    public void The_command_line_wins_over_the_environment_and_that_over_the_file()
    {
        var file = FileOf($$"""{ "IsEncrypted": false, "Values": { "{{Variable}}": "file" } }""");
        Assert.Equal("file", LocalSettings.Read([file]).Text(Variable));

        Environment.SetEnvironmentVariable(Variable, "environment");
        Assert.Equal("environment", LocalSettings.Read([file]).Text(Variable));
        Assert.Equal("command line", LocalSettings.Read([file, $"--{Variable}=command line"]).Text(Variable));
        Assert.Equal("command line", LocalSettings.Read([file, "--" + Variable.Replace("__", ":", StringComparison.Ordinal), "command line"]).Text(Variable));
    }

    [Fact]
    public void A_default_yields_to_everything_but_a_blank()
    {
        var settings = LocalSettings.Read([FileOf("""{ "Values": { "Wixoauth_A:B": " ", /* why not */ "Wixoauth_A__C": "file", "Wixoauth_A__D": true, } }""")]);
        Assert.Equal("filled", settings.Fill("Wixoauth_A__B", () => "filled"));
        Assert.Equal("filled", settings.Configuration["Wixoauth_A:B"]);
        Assert.Equal("file", settings.Fill("Wixoauth_A__C", () => "filled"));
        Assert.Equal("True", settings.Text("Wixoauth_A__D"));
        Assert.Equal("0 * * * * *", settings.Text("RefreshSchedule"));
    }

    [Fact]
    public void A_settings_file_may_begin_with_a_byte_order_mark() =>
        Assert.Equal("file", LocalSettings.Read([FileOf("\uFEFF" + $$"""{ "Values": { "{{Variable}}": "file" } }""")]).Text(Variable));

    [Fact]
    public void A_settings_file_that_is_not_JSON_is_reported_without_its_content()
    {
        var exception = Assert.Throws<StartFailedException>(() => LocalSettings.Read([FileOf("{\n \"Values\": s3cret }")]));
        Assert.Contains("is not JSON (line 2)", exception.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("s3cret", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_file_the_defaults_hold()
    {
        var settings = LocalSettings.Read(["--Local__SettingsFile", Path.Combine(_folder.Path, "none.json")]);
        Assert.Equal("0 17 3 * * *", settings.Text("HousekeepingSchedule"));
        Assert.Null(settings.Text(Variable));
    }

    [Theory]
    [InlineData("""{ "IsEncrypted": false, "Wix__AppId": "s3cret" }""", "has no object \"Values\"")]
    [InlineData("""{ "Values": { "Wix": { "AppId": "s3cret" } } }""", "Wix in ", "is not a string")]
    [InlineData("""{ "Values": { "WixAppId": "s3cret", "wix__appid": "an-app" } }""", "WixAppId in ", "is not a known setting")]
    [InlineData("""{ "Values": { "Tokens__ProtektionKey": "s3cret" } }""", "Tokens__ProtektionKey in ", "is not a known setting")]
    public void Ignored_keys_of_a_settings_file_are_named_without_their_values(string json, params string[] parts)
    {
        var file = SettingsFile.Read(FileOf(json).Split('=', 2)[1])!;

        var line = Assert.Single(file.FindIgnored(WixOAuth.Settings.ServiceSettings.Read(LocalSettings.From([]).Configuration).Names));

        Assert.All(parts, part => Assert.Contains(part, line, StringComparison.Ordinal));
        Assert.DoesNotContain("s3cret", line, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_of_the_sample_is_ignored() =>
        Assert.Empty(SettingsFile.Read(Path.Combine(LocalSettings.Root, "local.settings.sample.json"))!
            .FindIgnored(WixOAuth.Settings.ServiceSettings.Read(LocalSettings.From([]).Configuration).Names));

    [Fact]
    public void A_real_Wix_has_its_own_data_folder_unless_it_alone_has_used_the_shared_one()
    {
        var pretend = LocalSettings.From([]);
        var real = LocalSettings.From([KeyValuePair.Create("Wix__AppId", (string?)"an-app")]);
        var (shared, own) = (Path.Combine(_folder.Path, ".data"), Path.Combine(_folder.Path, ".data", "wix"));
        Assert.Equal((shared, own), (pretend.DataFolderIn(_folder.Path), real.DataFolderIn(_folder.Path)));

        Directory.CreateDirectory(Path.Combine(shared, "azurite"));
        Assert.Equal(shared, real.DataFolderIn(_folder.Path));

        File.WriteAllText(Path.Combine(shared, "pretend-wix.json"), "{}");
        Assert.Equal(own, real.DataFolderIn(_folder.Path));
        Assert.Equal("/elsewhere", LocalSettings.From([KeyValuePair.Create("Local__DataFolder", (string?)"/elsewhere")]).DataFolderIn(_folder.Path));
    }

    [Theory]
    [InlineData("protection-key")]
    [InlineData("function-key")]
    public void The_keys_of_a_real_Wix_with_tables_elsewhere_stay_in_use(string key)
    {
        var real = LocalSettings.From([KeyValuePair.Create("Wix__AppId", (string?)"an-app"), KeyValuePair.Create("Tables__ConnectionString", (string?)"elsewhere")]);
        var shared = Directory.CreateDirectory(Path.Combine(_folder.Path, ".data")).FullName;
        File.WriteAllText(Path.Combine(shared, key), "kept");

        Assert.Equal(shared, real.DataFolderIn(_folder.Path));
        Assert.Equal(Path.Combine(shared, "pretend"), LocalSettings.From([]).DataFolderIn(_folder.Path));

        File.WriteAllText(Path.Combine(shared, "pretend-wix.json"), "{}");
        Assert.Equal(Path.Combine(shared, "wix"), real.DataFolderIn(_folder.Path));
    }

    [Fact]
    public void The_pretend_Wix_never_uses_the_data_of_a_real_one()
    {
        var pretend = LocalSettings.From([]);
        var shared = Directory.CreateDirectory(Path.Combine(_folder.Path, ".data")).FullName;
        Directory.CreateDirectory(Path.Combine(shared, "azurite"));

        Assert.Equal(Path.Combine(shared, "pretend"), pretend.DataFolderIn(_folder.Path));
    }

    [Theory]
    [InlineData("-Wix__AppSecret=s3cret")]
    [InlineData("-Wix:AppSecret=s3cret")]
    public void A_command_line_that_cannot_be_read_is_not_repeated(string argument)
    {
        var exception = Assert.Throws<StartFailedException>(() => LocalSettings.Read([argument]));

        Assert.DoesNotContain("s3cret", exception.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{ "extensions": { "http": { "routePrefix": "/v1/" /* why not */, } } }""", "v1")]
    [InlineData("""{ "extensions": { "http": { "routePrefix": "v2/api/" } } } // none""", "v2/api")]
    [InlineData("""{ "extensions": { "http": { "routePrefix": "" } } }""", "")]
    [InlineData("""{ "extensions": { "http": { "routePrefix": null } } }""", "api")]
    [InlineData("""{ "extensions": null }""", "api")]
    [InlineData("""{ "version": "2.0" }""", "api")]
    public void The_route_prefix_is_that_of_host_json(string json, string expected) =>
        Assert.Equal(expected, LocalSettings.ReadRoutePrefix(HostJson(json)));

    [Theory]
    [InlineData("{ s3cret }")]
    [InlineData("[]")]
    public void A_host_json_of_another_form_is_refused_without_its_content(string json)
    {
        var exception = Assert.Throws<StartFailedException>(() => LocalSettings.ReadRoutePrefix(HostJson(json)));

        Assert.Contains("host.json is not a valid", exception.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("s3cret", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_host_json_the_route_prefix_is_api() =>
        Assert.Equal("api", LocalSettings.ReadRoutePrefix(Path.Combine(_folder.Path, "host.json")));

    [Fact]
    public void The_sample_leaves_installation_specific_values_empty_and_is_valid_with_them()
    {
        var values = SettingsFile.Read(Path.Combine(LocalSettings.Root, "local.settings.sample.json"))!.Values;
        Assert.Equal("dotnet-isolated", values["FUNCTIONS_WORKER_RUNTIME"]);
        foreach (var name in new[] { "Wix:AppId", "Wix:AppSecret", "Tables:ConnectionString", "Tokens:ProtectionKey", "Functions:Key", "KeyVault:VaultUri" })
        {
            Assert.Equal("", values[name]);
        }

        var complete = new Dictionary<string, string?>(values);
        foreach (var (name, value) in LocalHostFixture.Settings())
        {
            complete[name.Replace("__", ":", StringComparison.Ordinal)] = value;
        }

        Assert.Empty(WixOAuth.Settings.ServiceSettings.Read(LocalSettings.From(complete).Configuration).Problems);
    }

    [Theory]
    [InlineData("http://127.0.0.1:0", "http://127.0.0.1:")]
    [InlineData("http://localhost:0;http://127.0.0.1:0", "http://localhost:")]
    [InlineData("http://*:0", "http://localhost:")]
    [InlineData("http://0.0.0.0:0", "http://localhost:")]
    public void Port_0_becomes_a_free_port_that_is_printed(string urls, string expected)
    {
        var addresses = ListenAddresses.Find(urls);
        Assert.StartsWith(expected, addresses.BaseUrl, StringComparison.Ordinal);
        Assert.NotEqual(0, new Uri(addresses.BaseUrl).Port);
        Assert.All(addresses.Urls, url => Assert.DoesNotMatch(":0$", url));
    }

    [Theory]
    [InlineData("")]
    [InlineData("localhost")]
    [InlineData("https://localhost:7071")]
    [InlineData("http://localhost:7071/api")]
    [InlineData("http://unix:/tmp/socket")]
    public void An_invalid_address_is_refused_in_one_line(string urls)
    {
        Assert.StartsWith("urls should be", Assert.Throws<StartFailedException>(() => ListenAddresses.Find(urls)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_pretend_Wix_uses_the_port_after_the_service_or_a_free_one()
    {
        var port = FreePort.Next();
        Assert.Equal($"http://127.0.0.1:{port}/", ListenAddresses.FindNext($"http://localhost:{port - 1}/api", $"http://localhost:{port - 1}").ToString());
        Assert.Equal(0, ListenAddresses.FindNext($"http://localhost:{port - 1}/api", "http://localhost:0").Port);
        Assert.Equal(0, ListenAddresses.FindNext("http://localhost:65535/api", "http://localhost:65535").Port);

        using var other = new TcpListener(IPAddress.Loopback, port);
        other.Start();
        Assert.Equal(0, ListenAddresses.FindNext($"http://localhost:{port - 1}/api", $"http://localhost:{port - 1}").Port);
    }

    [Fact]
    public void Start_failures_are_distinguished_from_faults()
    {
        var bad = new OptionsValidationException("", typeof(string), ["Wix__AppId should be …", "Tables__Name should be …"]);
        Assert.Equal(["Wix__AppId should be …", "Tables__Name should be …"], StartFailure.Explain(bad));
        Assert.Equal(
            ["Wix__AppId should be …", "Tables__Name should be …", "no Node"],
            StartFailure.Explain(new AggregateException(bad, new AggregateException(new StartFailedException("no Node")))));
        Assert.Null(StartFailure.Explain(new AggregateException(bad, new InvalidOperationException())));
        Assert.Null(StartFailure.Explain(new IOException("disk")));
    }

    private string HostJson(string json)
    {
        var file = Path.Combine(_folder.Path, "host.json");
        File.WriteAllText(file, json);
        return file;
    }

    private string FileOf(string json)
    {
        var file = Path.Combine(_folder.Path, "settings.json");
        File.WriteAllText(file, json);
        return $"--Local__SettingsFile={file}";
    }
}

using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using WixOAuth.Local;

namespace WixOAuth.Functions.Tests.Local;

/// <summary>Function keys are managed as on the Functions host.</summary>
public sealed class FunctionKeysTests : IAsyncLifetime, IDisposable
{
    private const string Address = "/admin/host/functionkeys";

    private readonly TemporaryFolder _folder = new();
    private readonly HttpClient _client = new();
    private LocalHost? _host;

    public Task InitializeAsync() => StartAsync();

    public async Task DisposeAsync()
    {
        if (_host is not null)
        {
            await _host.DisposeAsync();
            _host = null;
        }
    }

    public void Dispose()
    {
        _client.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task A_key_opens_functions_from_its_making_to_its_deletion()
    {
        Assert.Equal(HttpStatusCode.Unauthorized, await OpenAsync("key-of-an-app"));
        using var made = await SendAsync("PUT", "/an-app", """{"name":"an-app","value":"key-of-an-app"}""");
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        Assert.Equal("""{"name":"an-app","value":"key-of-an-app"}""", await made.Content.ReadAsStringAsync());
        Assert.Equal(HttpStatusCode.OK, await OpenAsync("key-of-an-app"));
        Assert.Equal(HttpStatusCode.OK, (await _client.GetAsync(Url("/api/things/x?code=key-of-an-app"))).StatusCode);
        Assert.Equal(HttpStatusCode.OK, await OpenAsync(LocalHostFixture.Key));

        Assert.Equal(HttpStatusCode.NoContent, (await SendAsync("DELETE", "/an-app")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, await OpenAsync("key-of-an-app"));
        Assert.Equal(HttpStatusCode.NotFound, (await SendAsync("DELETE", "/an-app")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, await OpenAsync(LocalHostFixture.Key));
    }

    [Fact]
    public async Task A_key_that_is_set_again_opens_with_its_new_value_only()
    {
        await SendAsync("PUT", "/an-app", """{"value":"old"}""");
        Assert.Equal(HttpStatusCode.OK, (await SendAsync("PUT", "/AN-APP", """{"value":"new"}""")).StatusCode);

        Assert.Equal((HttpStatusCode.Unauthorized, HttpStatusCode.OK), (await OpenAsync("old"), await OpenAsync("new")));
        Assert.Single(await ListAsync());
    }

    [Fact]
    public async Task A_key_without_a_value_is_given_one()
    {
        using var made = await SendAsync("POST", "/an-app");
        var key = await made.Content.ReadFromJsonAsync<JsonElement>();

        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        Assert.Equal(54, key.GetProperty("value").GetString()!.Length);
        Assert.Equal(HttpStatusCode.OK, await OpenAsync(key.GetProperty("value").GetString()!));
    }

    [Fact]
    public async Task Only_the_master_key_manages_keys_and_fires_timers()
    {
        await SendAsync("PUT", "/an-app", """{"value":"key-of-an-app"}""");
        foreach (var key in new[] { "key-of-an-app", "", "wrong" })
        {
            Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync("GET", "", key: key)).StatusCode);
            Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync("PUT", "/other", """{"value":"other"}""", key)).StatusCode);
            Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync("DELETE", "/an-app", key: key)).StatusCode);
            using var fire = new HttpRequestMessage(HttpMethod.Post, Url("/admin/functions/Tick")) { Headers = { { "x-functions-key", key } } };
            Assert.Equal(HttpStatusCode.Unauthorized, (await _client.SendAsync(fire)).StatusCode);
        }

        Assert.Equal(["an-app"], (await ListAsync()).Keys);
    }

    [Theory]
    [InlineData("/an-app", "")]
    [InlineData("/an-app", "{}")]
    [InlineData("/an-app", """{"value":""}""")]
    [InlineData("/an-app", """{"value":7}""")]
    [InlineData("/an-app", "[")]
    [InlineData("/_master", """{"value":"another"}""")]
    public async Task What_is_no_key_is_refused(string name, string body)
    {
        Assert.Equal(HttpStatusCode.BadRequest, (await SendAsync("PUT", name, body)).StatusCode);
        Assert.Empty(await ListAsync());
    }

    [Fact]
    public async Task Keys_outlive_the_program_in_a_file_that_is_its_owners_only()
    {
        await SendAsync("PUT", "/an-app", """{"value":"key-of-an-app"}""");
        await SendAsync("PUT", "/other", """{"value":"key-of-another"}""");
        await SendAsync("DELETE", "/other");
        await DisposeAsync();
        await StartAsync();

        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.Unauthorized), (await OpenAsync("key-of-an-app"), await OpenAsync("key-of-another")));
        var file = Assert.Single(Directory.GetFiles(_folder.Path));
        if (!OperatingSystem.IsWindows())
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        }
    }

    [Fact]
    public async Task A_key_that_cannot_be_kept_is_not_made()
    {
        await DisposeAsync();
        var file = Path.Combine(_folder.Path, "a-file");
        await File.WriteAllTextAsync(file, "in the place of the data folder");
        await StartAsync(file);

        Assert.Equal(HttpStatusCode.InternalServerError, (await SendAsync("PUT", "/an-app", """{"value":"key-of-an-app"}""")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, await OpenAsync("key-of-an-app"));
    }

    [Fact]
    public async Task A_file_that_is_not_JSON_is_one_clear_line_without_what_is_in_it()
    {
        await DisposeAsync();
        await File.WriteAllTextAsync(Path.Combine(_folder.Path, "function-keys.json"), """{"an-app":"key-of""");

        var line = (await Assert.ThrowsAsync<StartFailedException>(StartAsync)).Message;
        Assert.Contains("function-keys.json", line, StringComparison.Ordinal);
        Assert.DoesNotContain("key-of", line, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', line);
    }

    private Task StartAsync() => StartAsync(_folder.Path);

    private async Task StartAsync(string dataFolder)
    {
        var settings = LocalHostFixture.Settings();
        settings["Local__DataFolder"] = dataFolder;
        _host = await LocalHostFixture.StartAsync(typeof(SampleFunctions), settings);
    }

    private Uri Url(string path) => new(_host!.Url, path);

    private async Task<HttpStatusCode> OpenAsync(string key)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Url("/api/things/x")) { Headers = { { "x-functions-key", key } } };
        return (await _client.SendAsync(request)).StatusCode;
    }

    private async Task<Dictionary<string, string>> ListAsync()
    {
        var list = await (await SendAsync("GET", "")).Content.ReadFromJsonAsync<JsonElement>();
        return list.GetProperty("keys").EnumerateArray().ToDictionary(key => key.GetProperty("name").GetString()!, key => key.GetProperty("value").GetString()!);
    }

    private Task<HttpResponseMessage> SendAsync(string method, string path, string? body = null, string key = LocalHostFixture.Key) =>
        _client.SendAsync(new HttpRequestMessage(new HttpMethod(method), Url(Address + path))
        {
            Headers = { { "x-functions-key", key } },
            Content = body is null ? null : new StringContent(body, Encoding.UTF8, "application/json"),
        });
}

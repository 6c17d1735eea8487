using System.Globalization;
using System.Text;
using WixOAuth.Functions.Tests.EndToEnd;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Functions.Tests.Worker.Rpc;
using WixOAuth.PretendWix;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Worker;

/// <summary>The built Function App in its real worker process, with the pretend Wix and a separate table in the real Azurite.</summary>
internal sealed class WorkerBed : IAsyncDisposable
{
    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromMinutes(3) };
    private readonly List<string> _secrets = [TestBed.AppSecret, TestBed.FunctionKey, TestBed.ProtectionKey];

    private WorkerBed(PretendWixServer wix, FunctionsHost host, TableStore store) => (Wix, Host, Store) = (wix, host, store);

    public PretendWixServer Wix { get; }

    public FunctionsHost Host { get; }

    /// <summary>What the worker stores.</summary>
    public TableStore Store { get; }

    public Uri Api => new(Host.Url, "/api/");

    public static async Task<WorkerBed> StartAsync(AzuriteFixture azurite, params (string Name, string Value)[] settings)
    {
        var wix = await PretendWixServer.StartAsync(
            new PretendWixOptions { AppId = TestBed.AppId, AppSecret = TestBed.AppSecret }, CancellationToken.None);
        var host = await FunctionsHost.ListenAsync(TestBed.FunctionKey);
        var table = azurite.NewTable();
        var bed = new WorkerBed(wix, host, new TableStore(TableConnection.Open(table, credential: null)));
        var values = Settings(wix, host.Url, table.ConnectionString!.Reveal(), table.Name);
        foreach (var (name, value) in settings)
        {
            values[name] = value;
        }

        wix.AppUrl = new Uri(bed.Api, "install");
        wix.RedirectUrl = new Uri(bed.Api, "redirect");
        wix.Control.Switches = wix.Control.Switches with { SendWebhooks = false, SendExpiresIn = true };
        try
        {
            await host.StartWorkerAsync(FunctionsHost.Built("FunctionApp"), values);
            return bed;
        }
        catch
        {
            await bed.DisposeAsync();
            throw;
        }
    }

    public async Task<HttpResponseMessage> SendAsync(
        HttpMethod method, string path, HttpContent? content = null, string? key = TestBed.FunctionKey, CancellationToken cancellationToken = default)
    {
        using var request = new HttpRequestMessage(method, new Uri(Api, path)) { Content = content };
        if (key is not null)
        {
            request.Headers.Add("x-functions-key", key);
        }

        return await _http.SendAsync(request, cancellationToken);
    }

    /// <summary>Posts a webhook as Wix does: again where the answer is 503, which is also that of a busy machine after a second. Answers the status.</summary>
    public async Task<int> PostWebhookAsync(string body)
    {
        _secrets.Add(body);
        for (var tries = 1; ; tries++)
        {
            using var content = new StringContent(body, Encoding.UTF8, "text/plain");
            using var response = await SendAsync(HttpMethod.Post, "webhooks", content, key: null);
            if ((int)response.StatusCode != 503 || tries == 20)
            {
                return (int)response.StatusCode;
            }
        }
    }

    /// <summary>Asks for a token that has to be there.</summary>
    public async Task<string> GetTokenAsync(Guid instanceId, string query = "", CancellationToken cancellationToken = default)
    {
        using var response = await SendAsync(HttpMethod.Get, $"instances/{instanceId}/token{query}", cancellationToken: cancellationToken);
        Assert.Equal(200, (int)response.StatusCode);
        return (await TestBed.ReadJsonAsync(response)).GetProperty("access_token").GetString()!;
    }

    /// <summary>Walks an install up to Wix's redirect, which is not yet opened.</summary>
    public async Task<Uri> WalkToRedirectAsync(TestBrowser browser, Guid instanceId)
    {
        var appUrl = TestBrowser.LocationOf(await browser.GetAsync(new Uri(Wix.Url, $"/sites/{instanceId}/open")));
        var consent = TestBrowser.LocationOf(await browser.GetAsync(appUrl));
        var redirect = TestBrowser.LocationOf(await browser.PostAsync(consent, ("decision", "agree")));
        _secrets.AddRange([TestBed.QueryOf(redirect)["code"], TestBed.QueryOf(redirect)["state"], .. browser.Cookies.Values]);
        return redirect;
    }

    /// <summary>Installs the app on a new site; answers its instance.</summary>
    public async Task<Guid> InstallAsync(string siteName = "Ann's Café")
    {
        using var browser = new TestBrowser();
        var site = Wix.CreateSite(siteName);
        using var response = await browser.GetAsync(await WalkToRedirectAsync(browser, site.InstanceId));
        Assert.Equal("/installer/close-window", TestBrowser.LocationOf(response).AbsolutePath);
        return site.InstanceId;
    }

    public async Task AssertTimerSucceedsAsync(string name)
    {
        var result = await Host.RunTimerAsync(name);
        Assert.True(result.Status == StatusResult.Types.Status.Success, $"{name}: {result.Exception?.Message}");
    }

    /// <summary>Has the worker end as the host does, and searches everything it wrote for every secret that occurred.</summary>
    public async Task EndAsync()
    {
        Host.TerminateWorker();
        Assert.Equal(0, await Host.Process.Ended.WaitAsync(TimeSpan.FromMinutes(3)));
        AssertNoSecretIn(Host.Output);
    }

    public void AssertNoSecretIn(string text) => TroubledLife.AssertNothingToldIn(text, _secrets.Concat(Wix.Control.IssuedSecrets));

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await Host.DisposeAsync();
        await Wix.DisposeAsync();
    }

    private static Dictionary<string, string?> Settings(PretendWixServer wix, Uri url, string connectionString, string table) => new()
    {
        ["Wix__AppId"] = TestBed.AppId,
        ["Wix__AppSecret"] = TestBed.AppSecret,
        ["Wix__ApiUrl"] = wix.ApiUrl.ToString(),
        ["Wix__InstallerUrl"] = wix.InstallerUrl.ToString(),
        ["Wix__RedirectUrl"] = new Uri(url, "/api/redirect").ToString(),
        ["Wix__WebhookPublicKey"] = wix.WebhookPublicKeyPem,
        ["Tables__ConnectionString"] = connectionString,
        ["Tables__Name"] = table,
        ["Tokens__ProtectionKey"] = TestBed.ProtectionKey,
        ["RefreshSchedule"] = "0 * * * * *",
        ["HousekeepingSchedule"] = "0 17 3 * * *",
        ["Logging__LogLevel__Default"] = "Debug",
    };

    /// <summary>A connection string of a storage that is not there.</summary>
    public static string Nowhere() => string.Create(
        CultureInfo.InvariantCulture,
        $"AccountName=devstoreaccount1;AccountKey={TestBed.ProtectionKey};TableEndpoint=http://127.0.0.1:{FreePort.Next()}/devstoreaccount1");
}

using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.RegularExpressions;
using WixOAuth.Client.Tests.Support;

namespace WixOAuth.Client.Tests.EndToEnd;

/// <summary>samples/dotnet as it is built, with the real service.</summary>
[Collection(nameof(LocalProgram))]
public sealed partial class SampleTests(LocalProgram program)
{
    private const string Secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

    [Fact]
    public async Task The_sample_shows_a_site_and_receives_an_event()
    {
        Assert.InRange(Repository.Read("samples", "dotnet", "Program.cs").TrimEnd().Split('\n').Length, 1, 60);
        var instance = await program.InstallAsync("Halden");
        var sample = LocalProgram.Start(
            Repository.Output(Path.Combine("samples", "dotnet"), "WixOAuth.Sample.dll"),
            ("ASPNETCORE_URLS", "http://127.0.0.1:0"),
            ("WixOAuth__Url", program.Url.ToString()),
            ("WixOAuth__Key", LocalProgram.FunctionKey),
            ("Wix__ApiUrl", program.WixUrl.ToString()),
            ("Events__Secret", Secret));
        try
        {
            var url = await LocalProgram.LineAsync(sample, ListeningLine());
            using var http = new HttpClient { BaseAddress = new Uri(url) };

            var site = await http.GetFromJsonAsync<JsonElement>(new Uri($"sites/{instance}", UriKind.Relative));
            Assert.Equal("Halden", site.GetProperty("site").GetProperty("siteDisplayName").GetString());
            using var unknown = await http.GetAsync(new Uri($"sites/{Guid.NewGuid()}", UriKind.Relative));
            Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);

            var body = $$$"""
                {"specversion":"1.0","id":"e-1","source":"{{{program.Url}}}","type":"instance.connected","time":"2026-05-04T03:07:00Z","subject":"{{{instance}}}",
                "datacontenttype":"application/json","data":{"instance_id":"{{{instance}}}","customer":null,"site":null,"reason":null}}
                """;
            Assert.Equal(HttpStatusCode.NoContent, await SignedEvent.SendAsync(url, Secret, body));
            await LocalProgram.LineAsync(sample, new Regex($"(instance.connected of {instance})"));
            Assert.Equal(HttpStatusCode.Unauthorized, await SignedEvent.SendAsync(url, Secret, body, body + " "));
        }
        finally
        {
            await LocalProgram.EndAsync(sample);
        }
    }

    [GeneratedRegex(@"Now listening on: (\S+)")]
    private static partial Regex ListeningLine();
}

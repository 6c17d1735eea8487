using System.Text;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Http;
using StandardWebhooks;
using StandardWebhooks.Diagnostics;

namespace WixOAuth.Client.Tests.EndToEnd;

/// <summary>The C# snippet of docs/events.md, compiled and run. The other two are run by WixOAuth.Functions.Tests.</summary>
public sealed partial class EventsDocumentTests
{
    private const string Secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
    private const string Body = """{"type":"instance.connected","name":"Ünïcode"}""";

    [Fact]
    public async Task The_snippet_verifies_an_event_and_refuses_a_changed_one()
    {
        var snippet = Snippet().Match(Repository.Read("docs", "events.md"));
        Assert.True(snippet.Success);
        var assembly = await Compiler.CompileAsync($$"""
            using System.IO;
            using System.Threading.Tasks;
            using Microsoft.AspNetCore.Http;
            {{snippet.Groups["usings"].Value}}

            public static class Snippet
            {
                public static async Task<string> VerifyAsync(HttpRequest request, string secret)
                {
                    {{snippet.Groups["code"].Value}}
                    return body;
                }
            }
            """);
        var verify = assembly.GetType("Snippet")!.GetMethod("VerifyAsync")!.CreateDelegate<Func<HttpRequest, string, Task<string>>>();

        Assert.Equal(Body, await verify(NewRequest(Body), Secret));
        await Assert.ThrowsAsync<WebhookVerificationException>(() => verify(NewRequest(Body + " "), Secret));
    }

    private static HttpRequest NewRequest(string body)
    {
        var request = new DefaultHttpContext().Request;
        var at = TimeProvider.System.GetUtcNow();
        request.Body = new MemoryStream(Encoding.UTF8.GetBytes(body));
        request.Headers["webhook-id"] = "e-1";
        request.Headers["webhook-timestamp"] = at.ToUnixTimeSeconds().ToString(System.Globalization.CultureInfo.InvariantCulture);
        request.Headers["webhook-signature"] = new StandardWebhook(Secret).Sign("e-1", at, Body);
        return request;
    }

    [GeneratedRegex("```csharp\n(?<usings>(?:using [^\n]*\n)+)\n(?<code>.*?)```", RegexOptions.Singleline)]
    private static partial Regex Snippet();
}

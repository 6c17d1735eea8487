using System.Net;

namespace WixOAuth.Client.Tests.EndToEnd;

/// <summary>The contract as the built program serves it.</summary>
[Collection(nameof(LocalProgram))]
public sealed class OpenApiEndpointTests(LocalProgram program)
{
    [Fact]
    public async Task The_document_is_served_without_a_key_and_to_head_without_a_body()
    {
        using var http = new HttpClient { BaseAddress = program.Url };
        var written = Repository.Read("docs", "openapi.json");

        using var got = await http.GetAsync(new Uri("api/openapi.json", UriKind.Relative));
        Assert.Equal((HttpStatusCode.OK, "application/json"), (got.StatusCode, got.Content.Headers.ContentType?.MediaType));
        Assert.Equal(written, await got.Content.ReadAsStringAsync());

        using var request = new HttpRequestMessage(HttpMethod.Head, "api/openapi.json");
        using var head = await http.SendAsync(request);
        Assert.Equal((HttpStatusCode.OK, got.Content.Headers.ContentLength), (head.StatusCode, head.Content.Headers.ContentLength));
        Assert.Empty(await head.Content.ReadAsByteArrayAsync());
    }
}

using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Http;
using Microsoft.Extensions.Options;
using WixOAuth.Client.Tests.Support;

namespace WixOAuth.Client.Tests;

public sealed class AuthorizationTests : IAsyncDisposable
{
    private readonly TestClient _client;
    private readonly WixApi _wix = new();
    private readonly HttpClient _http;

    public AuthorizationTests()
    {
        _client = new TestClient(add: services => services
            .AddHttpClient("wix", http => http.BaseAddress = new Uri("https://www.wixapis.com"))
            .AddWixAuthorization()
            .ConfigurePrimaryHttpMessageHandler(() => _wix));
        _http = _client.Services.GetRequiredService<IHttpClientFactory>().CreateClient("wix");
    }

    public ValueTask DisposeAsync() => _client.DisposeAsync();

    [Fact]
    public async Task A_request_carries_the_bare_token_of_its_instance()
    {
        Assert.Equal(HttpStatusCode.OK, (await SendAsync()).StatusCode);
        Assert.Equal(["token-1"], _wix.Authorizations);
    }

    [Fact]
    public async Task A_token_that_wix_refuses_is_replaced_and_the_request_sent_once_more_with_its_content()
    {
        await _client.GetAsync();
        _wix.Refused = "token-1";
        using var response = await SendAsync(JsonContent.Create(new { query = "x" }));
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(["token-1", "token-2"], _wix.Authorizations);
        Assert.Equal(["""{"query":"x"}""", """{"query":"x"}"""], _wix.Bodies);
    }

    [Fact]
    public async Task One_report_of_a_revoked_token_replaces_it_for_every_caller()
    {
        await _client.GetAsync();
        _wix.Refused = "token-1";
        var responses = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => Task.Run(() => SendAsync())));
        Assert.All(responses, response => Assert.Equal(HttpStatusCode.OK, response.StatusCode));
        Assert.Single(_client.Service.Requests, request => request.RequestUri!.Query.StartsWith("?rejected=", StringComparison.Ordinal));
        Assert.Equal(2, _client.Service.Requests.Count);
    }

    [Fact]
    public async Task A_second_401_is_returned_to_the_caller()
    {
        _wix.Refused = "token-1 token-2";
        Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync()).StatusCode);
        Assert.Equal(2, _wix.Authorizations.Count);
    }

    [Fact]
    public async Task The_same_token_as_replacement_is_not_tried_again()
    {
        _client.Service.Answer = _ => _client.Service.Token("young");
        _wix.Refused = "young";
        Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync()).StatusCode);
        Assert.Single(_wix.Authorizations);
    }

    [Fact]
    public async Task Wixs_401_is_the_answer_while_the_service_is_down_and_the_end_of_an_installation_is_thrown()
    {
        await _client.GetAsync();
        _wix.Refused = "token-1";
        _client.Service.Answer = _ => StubService.Problem(503, "storage_unavailable", 60);
        Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync()).StatusCode);

        _client.Time.Advance(TimeSpan.FromSeconds(61));
        _client.Service.Answer = _ => StubService.Problem(410, "app_removed");
        await Assert.ThrowsAsync<AppRemovedException>(() => SendAsync());
    }

    [Fact]
    public async Task A_stream_of_unknown_length_is_sent_once_and_its_token_reported_all_the_same()
    {
        _wix.Refused = "token-1";
        using var content = new StreamContent(OneWay());
        Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync(content)).StatusCode);
        Assert.Equal(["one way"], _wix.Bodies);
        Assert.Equal("token-2", await _client.GetAsync());
    }

    [Fact]
    public async Task A_form_with_a_part_of_unknown_length_is_sent_once_and_never_buffered()
    {
        _wix.Refused = "token-1";
        using var form = new MultipartFormDataContent { { new StreamContent(OneWay()), "file", "video.mp4" } };
        Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync(form)).StatusCode);
        Assert.Contains("one way", Assert.Single(_wix.Bodies), StringComparison.Ordinal);
        Assert.Equal("token-2", await _client.GetAsync());
    }

    [Theory]
    [InlineData("https://elsewhere.example/x")]
    [InlineData("https://www.wixapis.com:444/x")]
    [InlineData("http://www.wixapis.com/x")]
    public async Task A_401_from_where_a_redirect_led_is_returned_as_it_is_and_gets_no_replacement(string target)
    {
        _wix.Refused = "token-1";
        _wix.RedirectsTo = new Uri(target);
        Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync()).StatusCode);
        Assert.Equal(["token-1"], _wix.Authorizations);
        Assert.Single(_client.Service.Requests);
    }

    [Fact]
    public async Task A_401_after_a_redirect_within_Wix_is_answered_by_a_replacement()
    {
        _wix.Refused = "token-1";
        _wix.RedirectsTo = new Uri("https://WWW.wixapis.com:443/x");
        Assert.Equal(HttpStatusCode.OK, (await SendAsync()).StatusCode);
        Assert.Equal(["token-1", "token-2"], _wix.Authorizations);
    }

    [Fact]
    public void A_synchronous_request_is_refused_and_not_sent_without_a_token()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/x").SetWixInstance(_client.Instance);
        Assert.Equal("Use SendAsync.", Assert.Throws<NotSupportedException>(() => _http.Send(request)).Message);
    }

    [Fact]
    public async Task A_request_without_an_instance_and_one_over_plain_http_are_mistakes()
    {
        var thrown = await Assert.ThrowsAsync<InvalidOperationException>(() => _http.GetAsync(new Uri("/x", UriKind.Relative)));
        Assert.Contains("SetWixInstance", thrown.Message, StringComparison.Ordinal);
        using var plain = new HttpRequestMessage(HttpMethod.Get, "http://www.wixapis.com/x").SetWixInstance(_client.Instance);
        await Assert.ThrowsAsync<InvalidOperationException>(() => _http.SendAsync(plain));
        Assert.Empty(_wix.Authorizations);
    }

    [Fact]
    public void Neither_key_nor_token_is_logged_by_the_factory()
    {
        var options = _client.Services.GetRequiredService<IOptionsMonitor<HttpClientFactoryOptions>>();
        Assert.True(options.Get("wix").ShouldRedactHeaderValue("authorization"));
        Assert.True(options.Get("WixOAuth.Client").ShouldRedactHeaderValue("x-functions-key"));
        Assert.True(options.Get("WixOAuth.Client").ShouldRedactHeaderValue("Authorization"));
    }

    private static Stream OneWay() => PipeReader.Create(new MemoryStream(Encoding.UTF8.GetBytes("one way"))).AsStream();

    private Task<HttpResponseMessage> SendAsync(HttpContent? content = null) =>
        _http.SendAsync(new HttpRequestMessage(HttpMethod.Post, "/stores/v1/products/query") { Content = content }.SetWixInstance(_client.Instance));

    private sealed class WixApi : HttpMessageHandler
    {
        public string Refused { get; set; } = "";

        /// <summary>Written into the request, as <see cref="SocketsHttpHandler"/> does.</summary>
        public Uri? RedirectsTo { get; set; }

        public ConcurrentQueue<string> Authorizations { get; } = new();

        public ConcurrentQueue<string> Bodies { get; } = new();

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var token = Assert.Single(request.Headers.GetValues("Authorization"));
            Authorizations.Enqueue(token);
            if (request.Content is not null)
            {
                Bodies.Enqueue(await request.Content.ReadAsStringAsync(cancellationToken));
            }

            request.RequestUri = RedirectsTo ?? request.RequestUri;
            return new HttpResponseMessage(Refused.Split(' ').Contains(token) ? HttpStatusCode.Unauthorized : HttpStatusCode.OK);
        }
    }
}

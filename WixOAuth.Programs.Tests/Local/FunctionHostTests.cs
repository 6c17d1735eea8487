using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using WixOAuth.Local;

namespace WixOAuth.Programs.Tests.Local;

public sealed class FunctionHostTests : IAsyncLifetime, IDisposable
{
    private readonly HostLog _log = new();
    private readonly HttpClient _client = new();
    private LocalHost _host = null!;

    public async Task InitializeAsync()
    {
        _host = await LocalHostFixture.StartAsync(
            typeof(SampleFunctions), add: services => services.AddLogging(logging => logging.AddProvider(_log)));
        _client.BaseAddress = _host.Url;
    }

    public async Task DisposeAsync() => await _host.DisposeAsync();

    public void Dispose()
    {
        _client.Dispose();
        _log.Dispose();
    }

    [Fact]
    public async Task A_function_without_a_route_is_found_by_its_name_below_the_prefix()
    {
        Assert.StartsWith("open 1 1 ", await _client.GetStringAsync("/api/Open?q=1"), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.NotFound, (await _client.GetAsync("/Open")).StatusCode);
    }

    [Fact]
    public async Task Each_request_gets_its_own_function_instance()
    {
        var first = await _client.GetStringAsync("/api/open?q=1");
        Assert.Equal(first, await _client.GetStringAsync("/api/open?q=1"));
    }

    [Fact]
    public async Task A_route_hands_over_its_parameter_and_the_requests_cancellation()
    {
        Assert.Equal("GET one two True", await SendAsync("GET", "/api/things/one%20two", LocalHostFixture.Key).Text());
    }

    [Fact]
    public async Task Functions_may_share_a_route_and_differ_in_method()
    {
        Assert.Equal("DELETE x", await SendAsync("DELETE", "/api/things/x", LocalHostFixture.Key).Text());
    }

    [Theory]
    [InlineData("POST", "/api/things/x")]
    [InlineData("HEAD", "/api/open")]
    [InlineData("OPTIONS", "/api/open")]
    [InlineData("GET", "/api/nothing")]
    [InlineData("GET", "/")]
    [InlineData("GET", "/admin/functions/Tick")]
    public async Task An_unknown_route_is_404_with_an_empty_body_and_the_headers(string method, string path)
    {
        await AssertEmptyAsync(HttpStatusCode.NotFound, await SendAsync(method, path, LocalHostFixture.Key));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("b-function-key")]
    [InlineData("a-function-key2")]
    [InlineData("a-function-ke")]
    [InlineData("A-FUNCTION-KEY")]
    public async Task Without_the_right_key_it_is_401_with_an_empty_body_and_the_headers(string? key)
    {
        await AssertEmptyAsync(HttpStatusCode.Unauthorized, await SendAsync("GET", "/api/things/x", key));
        await AssertEmptyAsync(HttpStatusCode.Unauthorized, await SendAsync("DELETE", "/api/things/x?code=" + key, null));
    }

    [Fact]
    public async Task The_key_may_be_in_the_query()
    {
        Assert.Equal(HttpStatusCode.OK, (await SendAsync("GET", "/api/things/x?code=" + LocalHostFixture.Key, null)).StatusCode);
    }

    [Fact]
    public async Task A_header_wins_over_the_query_and_a_repeated_key_is_none()
    {
        Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync("GET", "/api/things/x?code=" + LocalHostFixture.Key, "wrong")).StatusCode);
        Assert.Equal(
            HttpStatusCode.Unauthorized,
            (await SendAsync("GET", $"/api/things/x?code={LocalHostFixture.Key}&code={LocalHostFixture.Key}", null)).StatusCode);
    }

    [Fact]
    public async Task An_anonymous_function_takes_no_notice_of_a_wrong_key()
    {
        Assert.Equal(HttpStatusCode.OK, (await SendAsync("GET", "/api/open?code=from-wix", null)).StatusCode);
    }

    [Fact]
    public async Task A_function_that_throws_answers_an_empty_200_as_the_real_worker_does()
    {
        var response = await SendAsync("GET", "/api/throws?code=the-code-from-wix", null);
        Assert.False(response.Headers.Contains("X-Left"));
        await AssertEmptyAsync(HttpStatusCode.OK, response);
        var line = Assert.Single(_log.Lines, line => line.Contains("Throws", StringComparison.Ordinal));
        Assert.Contains("thrown on purpose", line, StringComparison.Ordinal);
        Assert.DoesNotContain(_log.Lines, line => line.Contains("the-code-from-wix", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_header_that_a_function_sets_stands()
    {
        var response = await SendAsync("POST", "/api/SetsHeaders", null);
        Assert.Equal("max-age=1", Assert.Single(response.Headers.GetValues("Cache-Control")));
    }

    [Fact]
    public async Task Answers_do_not_name_the_server()
    {
        Assert.False((await SendAsync("GET", "/api/open", null)).Headers.Contains("Server"));
    }

    [Fact]
    public async Task A_request_line_is_as_long_as_Azure_takes_it_and_no_longer()
    {
        // GET, a space, the path, a space, HTTP/1.1 and the end of the line: 8,192 bytes.
        const string Path = "/api/open?q=";
        var longest = new string('a', 8_192 - "GET ".Length - Path.Length - " HTTP/1.1\r\n".Length);

        var response = await SendAsync("GET", Path + longest, null);
        var refused = await SendAsync("GET", Path + longest + "a", null);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Contains(longest, await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.RequestUriTooLong, refused.StatusCode);
    }

    [Fact]
    public async Task Request_logs_stay_off_whatever_the_settings_say()
    {
        var settings = LocalHostFixture.Settings();
        settings["Logging__LogLevel__Default"] = "Trace";
        settings["Logging__LogLevel__Microsoft.AspNetCore"] = "Trace";
        settings["Logging__LogLevel__Microsoft.AspNetCore.Hosting.Diagnostics"] = "Trace";
        settings["Logging__LogLevel__Microsoft.AspNetCore.Hosting.Diagnostics*"] = "Trace";
        settings["Logging__Console__LogLevel__Microsoft.AspNetCore.Hosting.Diagnostics"] = "Trace";
        using var log = new HostLog();
        await using var host = await LocalHostFixture.StartAsync(
            typeof(SampleFunctions), settings, services => services.AddLogging(logging => logging.AddProvider(log)));
        await _client.GetAsync(new Uri(host.Url, "/api/open?code=the-code-from-wix"));
        Assert.DoesNotContain(log.Lines, line => line.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal));
        host.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Microsoft.AspNetCore.Hosting.Diagnostics").Log(LogLevel.Warning, 0, "a warning", null, (text, _) => text);
        Assert.Contains(log.Lines, line => line.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal));
        Assert.DoesNotContain(log.Lines, line => line.Contains("the-code-from-wix", StringComparison.Ordinal));
    }

    [Fact]
    public void Two_functions_of_one_name_are_refused_whatever_their_case()
    {
        var exception = Assert.Throws<InvalidOperationException>(() => new FunctionMap([typeof(SampleFunctions), typeof(AnotherOpen)]));
        Assert.Contains("OPEN", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_function_without_a_trigger_is_refused()
    {
        Assert.Throws<InvalidOperationException>(() => new FunctionMap([typeof(NoTrigger)]));
    }

    [Fact]
    public void Function_that_states_no_level_is_refused()
    {
        Assert.Throws<InvalidOperationException>(() => new FunctionMap([typeof(NoLevel)]));
    }

    private static async Task AssertEmptyAsync(HttpStatusCode expected, HttpResponseMessage response)
    {
        Assert.Equal(expected, response.StatusCode);
        Assert.Empty(await response.Content.ReadAsByteArrayAsync());

        // As from the real host: tests of the service's own headers would pass with these.
        Assert.False(response.Headers.Contains("Cache-Control"));
        Assert.False(response.Headers.Contains("Referrer-Policy"));
    }

    private async Task<HttpResponseMessage> SendAsync(string method, string path, string? key)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (key is not null)
        {
            request.Headers.TryAddWithoutValidation("x-functions-key", key);
        }

        return await _client.SendAsync(request);
    }

    public sealed class AnotherOpen
    {
        [Function("OPEN")]
        public IResult Open([HttpTrigger] HttpRequest request) => Results.Text(request.Method);
    }

    public sealed class NoLevel
    {
        [Function("NoLevel")]
        public IResult Run([HttpTrigger("get", Route = "open")] HttpRequest request) => Results.Text(request.Method);
    }

    public sealed class NoTrigger
    {
        [Function("NoTrigger")]
        public IResult Run(HttpRequest request) => Results.Text(request.Method);
    }
}

internal static class HttpResponseText
{
    public static async Task<string> Text(this Task<HttpResponseMessage> response) => await (await response).Content.ReadAsStringAsync();
}

/// <summary>Keeps what is logged, after the category that logs it.</summary>
internal sealed class HostLog : ILoggerProvider
{
    private readonly System.Collections.Concurrent.ConcurrentQueue<string> _lines = new();

    public IReadOnlyCollection<string> Lines => _lines;

    public ILogger CreateLogger(string categoryName) => new Logger(categoryName, _lines);

    public void Dispose()
    {
    }

    private sealed class Logger(string category, System.Collections.Concurrent.ConcurrentQueue<string> lines) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            lines.Enqueue($"{category}: {formatter(state, exception)} {exception}");
    }
}

using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Client.Tests.EndToEnd;

/// <summary>The client as an application registers it, on the real service; counts what it asks of it.</summary>
internal sealed class WatchedClient : IAsyncDisposable
{
    private readonly ServiceProvider _services;
    private int _asked;
    private int _answered;
    private int _failed;
    private int _reports;

    /// <summary>Registers the client.</summary>
    /// <param name="url">The service's address.</param>
    /// <param name="wix">Wix's address.</param>
    /// <param name="time">The client's clock.</param>
    public WatchedClient(Uri url, Uri wix, TimeProvider time)
    {
        var services = new ServiceCollection().AddSingleton(time).AddLogging(logging => logging.AddProvider(new Failures(this)));
        services
            .AddWixOAuthClient(options => (options.Url, options.Key) = (url, LocalProgram.FunctionKey))
            .AddHttpMessageHandler(() => new Watch(this));
        services.AddHttpClient("wix", http => http.BaseAddress = wix).AddWixAuthorization();
        _services = services.BuildServiceProvider();
        Tokens = _services.GetRequiredService<IWixTokenClient>();
        Wix = _services.GetRequiredService<IHttpClientFactory>().CreateClient("wix");
    }

    public IWixTokenClient Tokens { get; }

    public HttpClient Wix { get; }

    /// <summary>Awaited before a request is sent to the service.</summary>
    public Task Gate { get; set; } = Task.CompletedTask;

    /// <summary>How many requests the service was sent.</summary>
    public int Asked => Volatile.Read(ref _asked);

    /// <summary>How many of them were answered with a token.</summary>
    public int Answered => Volatile.Read(ref _answered);

    /// <summary>How many of them reported a token that Wix refused.</summary>
    public int Reports => Volatile.Read(ref _reports);

    /// <summary>Whether a request is under way, or the client has not yet dealt with its failure.</summary>
    public bool IsBusy => Asked > Answered + Volatile.Read(ref _failed);

    /// <summary>Many callers at once.</summary>
    public Task<WixAccessToken[]> CallAsync(Guid instance) =>
        Task.WhenAll(Enumerable.Range(0, 50).Select(_ => Task.Run(() => Tokens.GetTokenAsync(instance).AsTask())));

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    private sealed class Watch(WatchedClient client) : DelegatingHandler
    {
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref client._asked);
            Interlocked.Add(ref client._reports, request.RequestUri!.Query.Contains("rejected=", StringComparison.Ordinal) ? 1 : 0);
            await client.Gate;
            var response = await base.SendAsync(request, cancellationToken);
            Interlocked.Add(ref client._answered, response.IsSuccessStatusCode ? 1 : 0);
            return response;
        }
    }

    // The client logs a failure when the pause that follows it is set.
    private sealed class Failures(WatchedClient client) : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public bool IsEnabled(LogLevel logLevel) => true;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Interlocked.Add(ref client._failed, eventId.Name == "RefreshFailed" ? 1 : 0);

        public void Dispose()
        {
        }
    }
}

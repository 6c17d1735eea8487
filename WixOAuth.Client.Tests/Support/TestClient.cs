using Microsoft.Extensions.DependencyInjection;

namespace WixOAuth.Client.Tests.Support;

/// <summary>The client as an application registers it, on a stub of the service and a clock moved by hand.</summary>
internal sealed class TestClient : IAsyncDisposable
{
    public const string Key = "the-function-key";

    private readonly ServiceProvider _services;

    public TestClient(Action<WixOAuthClientOptions>? configure = null, Action<IServiceCollection>? add = null)
    {
        var services = new ServiceCollection().AddSingleton<TimeProvider>(Time);
        services
            .AddWixOAuthClient(options =>
            {
                (options.Url, options.Key) = (new Uri("https://tokens.example"), Key);
                configure?.Invoke(options);
            })
            .ConfigurePrimaryHttpMessageHandler(() => Service);
        add?.Invoke(services);
        _services = services.BuildServiceProvider();
        Tokens = _services.GetRequiredService<IWixTokenClient>();
    }

    public WatchedTime Time { get; } = new();

    public StubService Service { get; } = new();

    public IWixTokenClient Tokens { get; }

    public Guid Instance { get; } = Guid.NewGuid();

    public IServiceProvider Services => _services;

    public async Task<string> GetAsync() => (await Tokens.GetTokenAsync(Instance)).Token;

    /// <summary>Waits until the service was asked so often, on whatever thread.</summary>
    public Task AskedAsync(int times) => UntilAsync(() => Service.Requests.Count >= times);

    /// <summary>Waits for what goes on in the background.</summary>
    public static Task UntilAsync(Func<bool> condition) => UntilAsync(() => Task.FromResult(condition()));

    public static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(3), TimeProvider.System);
        while (!await condition())
        {
            await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, patience.Token);
        }
    }

    /// <summary>Moves the clock in small steps while a task waits for it.</summary>
    public async Task<T> WithTimeAsync<T>(Task<T> task)
    {
        await UntilAsync(() =>
        {
            Time.Advance(TimeSpan.FromMilliseconds(100));
            return task.IsCompleted;
        });
        return await task;
    }

    public ValueTask DisposeAsync() => _services.DisposeAsync();
}

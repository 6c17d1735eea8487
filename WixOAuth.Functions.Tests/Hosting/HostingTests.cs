using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Moq;
using WixOAuth.Functions.Tests.Secrets;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Hosting;
using WixOAuth.Http;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Hosting;

public class HostingTests
{
    [Fact]
    public async Task The_table_is_created_as_soon_as_the_storage_is_available()
    {
        var clock = TestClock.New();
        var made = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        var store = new Mock<IInstanceStore>(MockBehavior.Strict);
        var tries = 0;
        store.Setup(s => s.InitializeAsync(It.IsAny<CancellationToken>())).Returns(() =>
        {
            if (++tries < 4)
            {
                return Task.FromException(new StorageUnavailableException("The storage is down."));
            }

            made.SetResult(true);
            return Task.CompletedTask;
        });
        using var initializer = new StorageInitializer(store.Object, clock, NullLogger<StorageInitializer>.Instance);

        await initializer.StartAsync(CancellationToken.None);

        Assert.True(await clock.RunAsync(made.Task, TimeSpan.FromSeconds(1)));
        await initializer.ExecuteTask!;
        Assert.Equal(4, tries);
    }

    [Fact]
    public async Task A_stop_ends_the_waiting_for_the_storage()
    {
        var store = new Mock<IInstanceStore>();
        store.Setup(s => s.InitializeAsync(It.IsAny<CancellationToken>())).ThrowsAsync(new StorageUnavailableException("The storage is down."));
        using var initializer = new StorageInitializer(store.Object, TestClock.New(), NullLogger<StorageInitializer>.Instance);
        await initializer.StartAsync(CancellationToken.None);

        await initializer.StopAsync(CancellationToken.None);

        Assert.True(initializer.ExecuteTask is { IsCompleted: true, IsFaulted: false });
    }

    [Fact]
    public async Task A_stop_waits_for_background_work()
    {
        var work = new BackgroundWork(NullLogger<BackgroundWork>.Instance);
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        work.Start("work", () => gate.Task);

        var stopping = work.StoppedAsync(CancellationToken.None);
        Assert.False(stopping.IsCompleted);
        gate.SetResult();
        await stopping;
    }

    [Fact]
    public async Task A_stop_waits_for_what_background_work_has_started_meanwhile()
    {
        var work = new BackgroundWork(NullLogger<BackgroundWork>.Instance);
        var (first, second) = (new TaskCompletionSource(), new TaskCompletionSource());
        work.Start("first", async () =>
        {
            await first.Task;
            work.Start("second", () => second.Task);
        });

        var stopping = work.StoppedAsync(CancellationToken.None);
        first.SetResult();
        Assert.False(stopping.IsCompleted);
        second.SetResult();
        await stopping;
    }

    [Fact]
    public async Task A_stop_that_times_out_logs_the_work_it_abandons()
    {
        using var logs = new CapturedLogs();
        var work = new BackgroundWork(logs.For<BackgroundWork>());
        work.Start("work", () => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, CancellationToken.None));
        using var impatient = new CancellationTokenSource();
        await impatient.CancelAsync();

        await work.StoppedAsync(impatient.Token);

        Assert.Contains("1 background tasks still run", logs.Everything, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stop_waits_for_what_a_server_starts_while_it_ends_its_last_requests()
    {
        using var logs = new CapturedLogs();
        using var impatient = new CancellationTokenSource();
        var builder = Host.CreateEmptyApplicationBuilder(null);

        // Registered before the background work, as in the Functions worker: so it is stopped after it.
        builder.Services.AddHostedService(provider => new Server(async () =>
        {
            provider.GetRequiredService<BackgroundWork>().Start("work", () => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, CancellationToken.None));
            await impatient.CancelAsync();
        }));
        builder.Services.AddSingleton<BackgroundWork>().AddHostedService(provider => provider.GetRequiredService<BackgroundWork>());
        builder.Logging.AddProvider(logs);
        using var host = builder.Build();
        await host.StartAsync();

        await host.StopAsync(impatient.Token);

        Assert.Contains("1 background tasks still run", logs.Everything, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Work_that_fails_is_logged_by_the_type_of_its_exception_only()
    {
        using var logs = new CapturedLogs();
        var work = new BackgroundWork(logs.For<BackgroundWork>());

        work.Start("work", () => throw new InvalidOperationException("a-secret"));
        await work.WhenIdleAsync(CancellationToken.None);

        Assert.Contains("Background work work failed: InvalidOperationException", logs.Everything, StringComparison.Ordinal);
        Assert.DoesNotContain("a-secret", logs.Everything, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_secrets_are_read_before_the_first_request()
    {
        var (appSecret, keys) = (new Mock<ISecretSource<AppSecretVersion>>(), new Mock<IKeyRing>());
        var key = new ProtectionKey(ProtectionKey.IdOf(Core.Key), Core.Key);
        appSecret.Setup(s => s.GetAsync(It.IsAny<CancellationToken>())).ReturnsAsync(new AppSecretVersion("1", new AppSecret("secret")));
        keys.Setup(s => s.GetCurrentAsync(It.IsAny<CancellationToken>())).ReturnsAsync(key);
        using var logs = new CapturedLogs();
        await using var services = ServicesWith(appSecret.Object, keys.Object, logs);

        await WarmUpAsync(services);

        appSecret.Verify(s => s.GetAsync(It.IsAny<CancellationToken>()), Times.Once);
        keys.Verify(s => s.GetCurrentAsync(It.IsAny<CancellationToken>()), Times.AtLeastOnce);
        Assert.Empty(logs.Lines(LogLevel.Warning));
    }

    [Fact]
    public async Task A_vault_that_is_down_at_the_start_is_logged_and_does_not_end_the_process()
    {
        var (appSecret, keys) = (new Mock<ISecretSource<AppSecretVersion>>(), new Mock<IKeyRing>());
        appSecret.Setup(s => s.GetAsync(It.IsAny<CancellationToken>())).ThrowsAsync(new SecretUnavailableException("a-secret"));
        keys.Setup(s => s.GetCurrentAsync(It.IsAny<CancellationToken>())).ThrowsAsync(new SecretUnavailableException("a-secret"));
        using var logs = new CapturedLogs();
        await using var services = ServicesWith(appSecret.Object, keys.Object, logs);

        await WarmUpAsync(services);

        Assert.StartsWith("The warm-up failed (SecretUnavailableException): the first requests will take longer", Assert.Single(logs.Lines(LogLevel.Warning)), StringComparison.Ordinal);
        Assert.DoesNotContain("a-secret", logs.Everything, StringComparison.Ordinal);
    }

    private sealed class Server(Func<Task> stopAsync) : IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => stopAsync();
    }

    private static async Task WarmUpAsync(ServiceProvider services)
    {
        var warmUp = services.GetServices<IHostedService>().OfType<WarmUp>().Single();
        await warmUp.StartAsync(CancellationToken.None);
        await warmUp.ExecuteTask!;
    }

    private static ServiceProvider ServicesWith(ISecretSource<AppSecretVersion> appSecret, IKeyRing keys, CapturedLogs logs) => new ServiceCollection()
        .AddLogging(logging => logging.AddProvider(logs))
        .AddWixOAuth(Core.Configure())
        .Replace(ServiceDescriptor.Singleton(appSecret))
        .Replace(ServiceDescriptor.Singleton(keys))
        .BuildServiceProvider();
}

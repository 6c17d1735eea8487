using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using WixOAuth.Processes;
using WixOAuth.Tokens;

namespace WixOAuth.Crash;

/// <summary>A process of the program, with its own way to the storage and to Wix.</summary>
internal sealed record Node(int Number, ServiceProcess Process, CountingProxy Storage);

/// <summary>Some processes on one storage. Whoever is killed is replaced.</summary>
internal sealed class Fleet(
    Surroundings around, FakeWix wix, StorageWatch watch, Journal journal, string table, int size, CancellationToken cancellationToken)
    : IAsyncDisposable
{
    // What TokenService says when it met what nobody foresaw or lost something, and the host of a function that threw.
    private static readonly Regex s_unforeseen = new(
        $@"\[({EventOf(nameof(TokenLog.RefreshBroke))}|{EventOf(nameof(TokenLog.TokensLost))}|{EventOf(nameof(TokenLog.Unreadable))})\]|FunctionHost\[1\]|Unhandled exception");

    // Starting takes all of a processor.
    private readonly SemaphoreSlim _starts = new(Math.Max(1, Environment.ProcessorCount));
    private readonly Lock _lock = new();
    private readonly List<Node> _living = [];
    private readonly List<Task> _background = [];
    private TaskCompletionSource _changed = NewSignal();
    private int _started;

    public Task StartAsync() => Task.WhenAll(Enumerable.Range(0, size).Select(_ => StartNodeAsync()));

    /// <summary>Those that live now.</summary>
    public IReadOnlyList<Node> Living
    {
        get
        {
            lock (_lock)
            {
                return [.. _living];
            }
        }
    }

    /// <summary>One of those that live, when there are as many as asked for.</summary>
    public async Task<Node> PickAsync(int atLeast = 1)
    {
        while (true)
        {
            Task changed;
            lock (_lock)
            {
                if (_living.Count >= atLeast)
                {
                    return _living[Random.Shared.Next(_living.Count)];
                }

                changed = _changed.Task;
            }

            await changed.WaitAsync(cancellationToken);
            await ThrowWhereAStartFailedAsync();
        }
    }

    /// <summary>SIGKILL; another one is started in its place.</summary>
    public async Task KillAsync(Node node, string? step, Guid? site)
    {
        lock (_lock)
        {
            if (!_living.Remove(node))
            {
                return;
            }
        }

        await node.Process.KillAsync();
        journal.Add(new Kill(Journal.Now, node.Number, step, site));
        lock (_lock)
        {
            _background.RemoveAll(task => task.IsCompletedSuccessfully);
            _background.Add(BuryAsync(node));
            _background.Add(StartNodeAsync());
        }
    }

    /// <summary>Points all to where the storage is now.</summary>
    public void MoveStorage()
    {
        lock (_lock)
        {
            _living.ForEach(node => node.Storage.Target = CountingProxy.EndpointOf(around.Azurite.ConnectionString));
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_background).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        foreach (var node in _living)
        {
            await BuryAsync(node);
        }

        _starts.Dispose();
    }

    /// <summary>Ends all, as soon as none has anything under way.</summary>
    /// <param name="count">Counts what they do.</param>
    public async Task EndAsync(Func<long> count)
    {
        await Task.WhenAll(_background);
        for (long seen = -1; seen != count();)
        {
            seen = count();
            await Task.Delay(TimeSpan.FromSeconds(1.5), TimeProvider.System, cancellationToken);
        }

        foreach (var node in _living)
        {
            await node.Process.KillAsync();
            NoteFaults(node);
        }
    }

    private async Task StartNodeAsync()
    {
        await _starts.WaitAsync(cancellationToken);
        try
        {
            var number = Interlocked.Increment(ref _started);
            var storage = await CountingProxy.StartAsync(around.Azurite.ConnectionString, cancellationToken, watch.HookOf(number));
            var settings = around.Settings(table, storage.ConnectionString);
            settings["Wix__ApiUrl"] = wix.ApiUrlOf(number).ToString();

            // It does not live long enough for what is compiled twice to pay.
            settings["DOTNET_TC_CallCounting"] = "0";
            settings["Tokens__IdleAfter"] = "00:02:00";
            var node = new Node(number, await StartProcessAsync(settings), storage);
            lock (_lock)
            {
                // The storage may have moved while it started.
                storage.Target = CountingProxy.EndpointOf(around.Azurite.ConnectionString);
                _living.Add(node);
            }
        }
        finally
        {
            _starts.Release();
            Interlocked.Exchange(ref _changed, NewSignal()).TrySetResult();
        }
    }

    private async Task<ServiceProcess> StartProcessAsync(Dictionary<string, string> settings)
    {
        for (var tries = 1; ; tries++)
        {
            try
            {
                return await ServiceProcess.StartAsync(settings, cancellationToken);
            }
            catch (InvalidOperationException exception) when (tries < 5 && exception.Message.Contains("address already in use", StringComparison.Ordinal))
            {
                // It looks for a free port before it takes it, and so does everybody else here.
            }
        }
    }

    private async Task BuryAsync(Node node)
    {
        NoteFaults(node);
        await node.Process.DisposeAsync();
        await node.Storage.DisposeAsync();
    }

    private void NoteFaults(Node node)
    {
        foreach (var line in node.Process.LinesLike(s_unforeseen))
        {
            journal.AddFault(line);
        }
    }

    private Task ThrowWhereAStartFailedAsync()
    {
        lock (_lock)
        {
            return _background.FirstOrDefault(task => task.IsFaulted) ?? Task.CompletedTask;
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static string EventOf(string message) =>
        typeof(TokenLog).GetMethod(message, BindingFlags.Static | BindingFlags.Public)!.GetCustomAttribute<LoggerMessageAttribute>()!.EventId.ToString(CultureInfo.InvariantCulture);
}

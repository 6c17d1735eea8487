using System.Globalization;
using System.Reflection;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using WixOAuth.Processes;
using WixOAuth.Tokens;

namespace WixOAuth.Crash;

/// <summary>A process of the program, with its own way to the storage and to Wix.</summary>
/// <param name="Number">Which.</param>
/// <param name="Process">Itself.</param>
/// <param name="Storage">Its way to the storage.</param>
/// <param name="WrongSince">Since when it has another protection key than the rest; null when it has the same.</param>
internal sealed record Node(int Number, ServiceProcess Process, CountingProxy Storage, DateTimeOffset? WrongSince = null);

/// <summary>Some processes on one storage. A process that is killed is replaced.</summary>
internal sealed class Fleet(
    Surroundings around, FakeWix wix, StorageWatch watch, Journal journal, string table, int size, CancellationToken cancellationToken, EventReceiver? receiver = null)
    : IAsyncDisposable
{
    // What TokenService logs for unexpected errors and lost tokens, and the host for a function that threw.
    private static readonly Regex s_unforeseen = new(
        $@"\[({EventOf(nameof(TokenLog.RefreshBroke))}|{EventOf(nameof(TokenLog.Unreadable))})\]|FunctionHost\[1\]|Unhandled exception");

    // The critical line that names the keys that are missing (ProtectionKeyCheck).
    private static readonly Regex s_wrongKeyTold = new(@"\[109\]");

    private static readonly Regex s_unreadable = new($@"\[{EventOf(nameof(TokenLog.Unreadable))}\]");

    // Starting takes all of a processor.
    private readonly SemaphoreSlim _starts = new(Math.Max(1, Environment.ProcessorCount));
    private readonly Lock _lock = new();
    private readonly List<Node> _living = [];
    private readonly List<Task> _background = [];
    private TaskCompletionSource _changed = NewSignal();
    private int _started;

    /// <summary>Which part of those that are started has another protection key than the rest.</summary>
    public double WrongKeyPart { get; set; }

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
    /// <param name="atLeast">How many.</param>
    /// <param name="withRightKey">Whether only those with the right protection key count.</param>
    public async Task<Node> PickAsync(int atLeast = 1, bool withRightKey = false)
    {
        while (true)
        {
            Task changed;
            lock (_lock)
            {
                var among = _living.FindAll(node => !withRightKey || node.WrongSince is null);
                if (among.Count >= atLeast)
                {
                    return among[Random.Shared.Next(among.Count)];
                }

                changed = _changed.Task;
            }

            await changed.WaitAsync(cancellationToken);
            await ThrowWhereAStartFailedAsync();
        }
    }

    /// <summary>SIGKILL; another one is started instead.</summary>
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
        if (node.WrongSince is { } since)
        {
            journal.Add(new WrongKey(node.Number, since, Journal.Now, node.Process.LinesLike(s_wrongKeyTold).Count > 0));
        }

        // Both begin to run here, and everybody waits for the lock.
        Task[] next = [BuryAsync(node), StartNodeAsync()];
        lock (_lock)
        {
            _background.RemoveAll(task => task.IsCompletedSuccessfully);
            _background.AddRange(next);
        }
    }

    /// <summary>Those with the wrong protection key are replaced, and no more come.</summary>
    public async Task EndWrongKeysAsync()
    {
        WrongKeyPart = 0;
        while (true)
        {
            Task[] starting;
            lock (_lock)
            {
                starting = [.. _background];
            }

            await Task.WhenAll(starting);
            var wrong = Living.Where(node => node.WrongSince is not null).ToList();
            if (wrong.Count == 0)
            {
                return;
            }

            foreach (var node in wrong)
            {
                await KillAsync(node, AfterWrongKey, null);
            }
        }
    }

    /// <summary>What a kill of a process with the wrong key is called.</summary>
    public const string AfterWrongKey = "after a while with a wrong protection key";

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
            if (receiver is not null)
            {
                settings["Events__Url"] = receiver.Url.ToString();
                settings["Events__Secret"] = receiver.Secret;
                settings["Wix__WebhookPublicKey"] = wix.WebhookKey;
            }

            var isWrong = Random.Shared.NextDouble() < WrongKeyPart;
            if (isWrong)
            {
                settings["Tokens__ProtectionKey"] = Convert.ToBase64String(RandomNumberGenerator.GetBytes(32));
            }

            var node = new Node(number, await StartProcessAsync(settings), storage, isWrong ? Journal.Now : null);
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
        foreach (var line in node.Process.LinesLike(s_unforeseen).Where(line => node.WrongSince is null || !s_unreadable.IsMatch(line)))
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

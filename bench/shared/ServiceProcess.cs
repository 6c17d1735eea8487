using System.Diagnostics;
using System.Text.RegularExpressions;
using WixOAuth.Local;

namespace WixOAuth.Processes;

/// <summary>The built program as a separate process, which is killed with this object: nothing here may outlive a run.</summary>
internal sealed partial class ServiceProcess : IAsyncDisposable
{
    private static readonly TimeSpan s_startsWithin = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly List<string> _lines = [];
    private readonly Task _reading;
    private TaskCompletionSource _more = NewSignal();

    private ServiceProcess(Process process)
    {
        _process = process;
        _reading = Task.WhenAll(ReadAsync(process.StandardOutput), ReadAsync(process.StandardError));
    }

    /// <summary>Where it serves; the functions are below <c>/api</c>.</summary>
    public Uri Url { get; private set; } = null!;

    /// <summary>The process's id.</summary>
    public int Id => _process.Id;

    /// <summary>The processor time it has used.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    /// <summary>The most memory it has had, in bytes.</summary>
    public long PeakMemory
    {
        get
        {
            _process.Refresh();
            return _process.PeakWorkingSet64;
        }
    }

    /// <summary>Whether it is still there.</summary>
    public bool IsRunning => !_process.HasExited;

    /// <summary>Starts the program and waits until it serves.</summary>
    /// <param name="settings">Its settings, by the names of the contract. The environment's are not passed on.</param>
    /// <param name="cancellationToken">Ends the start.</param>
    /// <param name="assembly">Which build of it; the one beside this program if none is given.</param>
    public static async Task<ServiceProcess> StartAsync(
        IReadOnlyDictionary<string, string> settings, CancellationToken cancellationToken, string? assembly = null)
    {
        var service = new ServiceProcess(Launch(assembly ?? typeof(LocalHost).Assembly.Location, [], settings));
        try
        {
            var match = await service.FindAsync(GetTokenLine(), 0, s_startsWithin, cancellationToken);
            service.Url = new Uri(match.Groups["url"].Value);
            return service;
        }
        catch
        {
            await service.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts a .NET program whose output has to be read.</summary>
    public static Process Launch(string assembly, string[] arguments, IReadOnlyDictionary<string, string> settings)
    {
        var start = new ProcessStartInfo("dotnet", [assembly, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var name in start.Environment.Keys.Where(name => ServiceSetting().IsMatch(name)).ToList())
        {
            start.Environment.Remove(name);
        }

        // No file of this folder's may change what is measured.
        start.Environment["Local__SettingsFile"] = "none.json";
        foreach (var (name, value) in settings)
        {
            start.Environment[name] = value;
        }

        return Process.Start(start)!;
    }

    /// <summary>How many lines it has written.</summary>
    public int LineCount
    {
        get
        {
            lock (_lines)
            {
                return _lines.Count;
            }
        }
    }

    /// <summary>The lines it has written that look like this.</summary>
    public IReadOnlyList<string> LinesLike(Regex pattern)
    {
        lock (_lines)
        {
            return [.. _lines.Where(line => pattern.IsMatch(line))];
        }
    }

    /// <summary>Waits for a line of its output.</summary>
    /// <param name="pattern">What the line looks like.</param>
    /// <param name="from">The number of lines before the first that counts.</param>
    /// <param name="patience">How long to wait.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="InvalidOperationException">It ended without.</exception>
    /// <exception cref="TimeoutException">There was none in time.</exception>
    public async Task<Match> FindAsync(Regex pattern, int from, TimeSpan patience, CancellationToken cancellationToken)
    {
        var startedAt = Stopwatch.GetTimestamp();
        while (true)
        {
            var more = Volatile.Read(ref _more).Task;
            var ended = _reading.IsCompleted;
            List<string> lines;
            lock (_lines)
            {
                lines = [.. _lines.Skip(from)];
            }

            if (lines.Select(line => pattern.Match(line)).FirstOrDefault(match => match.Success) is { } found)
            {
                return found;
            }

            if (ended)
            {
                throw new InvalidOperationException($"The program ended: {string.Join(' ', lines)}");
            }

            var left = patience - Stopwatch.GetElapsedTime(startedAt);
            if (left <= TimeSpan.Zero)
            {
                throw new TimeoutException($"No line like {pattern} within {patience}.");
            }

            await ((Task)Task.WhenAny(more, _reading)).WaitAsync(left, TimeProvider.System, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    /// <summary>SIGKILL: it has no chance to finish anything.</summary>
    public async Task KillAsync()
    {
        try
        {
            _process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It had ended by itself.
        }

        await _process.WaitForExitAsync(CancellationToken.None);
    }

    /// <summary>Kills it unless it has ended.</summary>
    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        await _reading;
        _process.Dispose();
    }

    // On a separate thread: a pipe is read by a thread that waits, even asynchronously, and with some processes those
    // of the pool would run out.
    private Task ReadAsync(StreamReader from) => Task.Factory.StartNew(
        () =>
        {
            while (from.ReadLine() is { } line)
            {
                lock (_lines)
                {
                    _lines.Add(line);
                }

                Interlocked.Exchange(ref _more, NewSignal()).TrySetResult();
            }
        },
        CancellationToken.None,
        TaskCreationOptions.LongRunning,
        TaskScheduler.Default);

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    [GeneratedRegex("^GetToken: .* (?<url>http://[^/]+)/")]
    private static partial Regex GetTokenLine();

    [GeneratedRegex("^(Wix|Tables|Tokens|KeyVault|Functions|Local|Logging|ASPNETCORE)__|^Sweep(__|$)|^urls$|^ASPNETCORE_", RegexOptions.IgnoreCase)]
    private static partial Regex ServiceSetting();
}

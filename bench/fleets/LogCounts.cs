namespace WixOAuth.Fleets;

/// <summary>How often each line was logged by all processes, and the critical ones.</summary>
internal sealed class LogCounts : ILoggerFactory, ILogger
{
    private readonly SortedDictionary<int, int> _counts = [];

    public IReadOnlyDictionary<int, int> ById => _counts;

    public List<string> Critical { get; } = [];

    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        _counts[eventId.Id] = _counts.GetValueOrDefault(eventId.Id) + 1;
        if (logLevel == LogLevel.Critical)
        {
            Critical.Add(formatter(state, exception));
        }
    }

    public void Dispose()
    {
        // Its counts stay readable.
    }
}

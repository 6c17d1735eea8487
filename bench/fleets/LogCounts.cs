using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace WixOAuth.Fleets;

/// <summary>How often each line was logged by all processes, and the critical ones.</summary>
internal sealed class LogCounts(TimeProvider time) : ILoggerFactory, ILogger
{
    private readonly SortedDictionary<int, int> _counts = [];

    public List<(DateTimeOffset At, string Line)> Critical { get; } = [];

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
            Critical.Add((time.GetUtcNow(), formatter(state, exception)));
        }
    }

    /// <summary>Equal for runs in which the same happened.</summary>
    /// <param name="calls">How many requests Wix had.</param>
    public string Digest(int calls)
    {
        var all = new StringBuilder(calls.ToString(CultureInfo.InvariantCulture));
        foreach (var (line, count) in _counts)
        {
            all.Append(CultureInfo.InvariantCulture, $" {line}:{count}");
        }

        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(all.ToString())).AsSpan(0, 8));
    }

    public void Dispose()
    {
        // Its counts stay readable.
    }
}

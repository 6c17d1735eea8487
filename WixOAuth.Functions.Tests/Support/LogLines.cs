using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>The log of one <see cref="Core"/> only.</summary>
internal sealed class LogLines : ILoggerFactory
{
    private readonly ConcurrentQueue<(LogLevel Level, int Id, string Text)> _lines = new();
    private TaskCompletionSource _next = NewSource();

    public IReadOnlyList<(LogLevel Level, int Id, string Text)> All => [.. _lines];

    public IReadOnlyList<string> Of(int id) => [.. _lines.Where(line => line.Id == id).Select(line => line.Text)];

    public ILogger CreateLogger(string categoryName) => new Line<object>(this);

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public void Dispose()
    {
        // The lines stay readable.
    }

    public ILogger<T> For<T>() => new Line<T>(this);

    /// <summary>Completes when a message was logged <paramref name="count"/> times.</summary>
    /// <exception cref="TimeoutException">Nothing was logged for three minutes.</exception>
    public async Task WaitForAsync(int id, int count = 1)
    {
        for (var next = _next; Of(id).Count < count; next = _next)
        {
            await next.Task.WaitAsync(TimeSpan.FromMinutes(3));
        }
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void Add(LogLevel level, int id, string text)
    {
        _lines.Enqueue((level, id, text));
        Interlocked.Exchange(ref _next, NewSource()).SetResult();
    }

    private sealed class Line<T>(LogLines lines) : ILogger<T>
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            lines.Add(logLevel, eventId.Id, formatter(state, exception));
    }
}

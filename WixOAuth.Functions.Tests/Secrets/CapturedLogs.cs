using System.Collections.Concurrent;
using System.Diagnostics.Tracing;
using Azure.Core.Diagnostics;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Functions.Tests.Secrets;

/// <summary>Everything that is logged, by us and by the Azure SDK, at every level.</summary>
internal sealed class CapturedLogs : ILoggerProvider
{
    private readonly ConcurrentQueue<(LogLevel Level, string Text)> _lines = new();
    private readonly ConcurrentQueue<string> _sdkLines = new();
    private readonly AzureEventSourceListener _sdk;

    public CapturedLogs() => _sdk = new AzureEventSourceListener(
        (e, text) => _sdkLines.Enqueue($"{e.EventName} {text} {string.Join(' ', e.Payload ?? new([]))}"), EventLevel.Verbose);

    public IReadOnlyList<string> SdkLines => [.. _sdkLines];

    public IEnumerable<string> Lines(LogLevel level) => _lines.Where(line => line.Level == level).Select(line => line.Text);

    public string Everything => string.Join('\n', _lines.Select(line => line.Text).Concat(_sdkLines));

    public ILogger<T> For<T>() => new Logger<T>(new LoggerFactory([this], new LoggerFilterOptions { MinLevel = LogLevel.Trace }));

    public ILogger CreateLogger(string categoryName) => new Line(this);

    public void Dispose() => _sdk.Dispose();

    private sealed class Line(CapturedLogs logs) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            logs._lines.Enqueue((logLevel, $"{formatter(state, exception)} {state} {exception}"));
    }
}

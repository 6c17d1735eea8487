using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>What the keeper met that nobody foresaw: it answers its callers all the same, so a test has to look here.</summary>
public sealed class Breakages : ILogger<TokenKeeper>
{
    private const int TokensLost = 412;
    private const int RefreshBroke = 413;
    private readonly ConcurrentQueue<string> _seen = new();

    /// <summary>Whether tokens were given up that could not be saved.</summary>
    public bool HasLostTokens { get; private set; }

    public IReadOnlyCollection<string> Seen => _seen;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (eventId.Id == RefreshBroke)
        {
            _seen.Enqueue(formatter(state, exception));
        }

        HasLostTokens |= eventId.Id == TokensLost;
    }
}

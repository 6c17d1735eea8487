using System.Diagnostics;

namespace WixOAuth.Load;

/// <summary>Sums up how long the table service is waited for, but for its queries: a sweep reads the due index once for all.</summary>
internal sealed class TimedWire() : DelegatingHandler(new SocketsHttpHandler())
{
    private long _ticks;

    public TimeSpan Total => Stopwatch.GetElapsedTime(0, Interlocked.Read(ref _ticks));

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var startedAt = Stopwatch.GetTimestamp();
        var response = await base.SendAsync(request, cancellationToken);
        if (request.RequestUri?.AbsolutePath.EndsWith("()", StringComparison.Ordinal) != true)
        {
            Interlocked.Add(ref _ticks, Stopwatch.GetTimestamp() - startedAt);
        }

        return response;
    }
}

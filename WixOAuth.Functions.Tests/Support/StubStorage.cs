using WixOAuth.Functions.Tests.Faults;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>A storage service that gives every request the same answer.</summary>
internal sealed class StubStorage(Func<HttpRequestMessage, CancellationToken, Task<HttpResponseMessage>> answer) : HttpMessageHandler
{
    private int _calls;

    public int Calls => _calls;

    /// <summary>One that is busy, and asks for a pause of two minutes.</summary>
    public static StubStorage Busy() => new(Fault.All.Single(fault => fault.Name == "503, Retry-After: 120").HappenToStorageAsync);

    /// <summary>One that never answers.</summary>
    public static StubStorage Silent() => new((_, cancellationToken) => new TaskCompletionSource<HttpResponseMessage>().Task.WaitAsync(cancellationToken));

    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _calls);
        return answer(request, cancellationToken);
    }
}

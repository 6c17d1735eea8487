using Polly;

namespace WixOAuth.Hosting;

/// <summary>
/// Runs a Polly pipeline on its caller's synchronization context. Hosts have none; a test that runs the service step by
/// step sees every part of it, so its fake time does not pass while some of it still runs elsewhere.
/// </summary>
internal static class Resilience
{
    public static async Task<T> RunAsync<T>(this ResiliencePipeline pipeline, Func<CancellationToken, Task<T>> work, CancellationToken cancellationToken)
    {
        var context = ResilienceContextPool.Shared.Get(continueOnCapturedContext: true, cancellationToken);
        try
        {
            return await pipeline.ExecuteAsync(async each => await work(each.CancellationToken), context);
        }
        finally
        {
            ResilienceContextPool.Shared.Return(context);
        }
    }
}

using Polly;

namespace WixOAuth.Hosting;

/// <summary>
/// Runs Polly's pipelines where their caller runs. Hosts have no context to go back to, so to them it is all one; a test
/// that runs the service turn by turn sees every part of it, and its fake time does not pass under what runs elsewhere.
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

    public static async Task<T> RunAsync<T>(this ResiliencePipeline<T> pipeline, Func<CancellationToken, Task<T>> work, CancellationToken cancellationToken)
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

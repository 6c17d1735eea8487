using Polly;

namespace WixOAuth.Wix;

/// <summary>The step of the resilience pipeline that lets refreshes through the circuit, and tells it how each attempt ended.</summary>
internal sealed class CircuitStrategy(WixCircuit circuit) : ResilienceStrategy<WixResponse>
{
    protected override async ValueTask<Outcome<WixResponse>> ExecuteCore<TState>(
        Func<ResilienceContext, TState, ValueTask<Outcome<WixResponse>>> callback, ResilienceContext context, TState state)
    {
        if (WixRequest.Of(context).Kind != WixRequestKind.Refresh)
        {
            return await callback(context, state).ConfigureAwait(context.ContinueOnCapturedContext);
        }

        if (circuit.Begin() is not { } call)
        {
            return Outcome.FromResult(WixResponse.NotSent(circuit.RetryAfter));
        }

        var outcome = await callback(context, state).ConfigureAwait(context.ContinueOnCapturedContext);
        circuit.End(call, outcome.Result);
        return outcome;
    }
}

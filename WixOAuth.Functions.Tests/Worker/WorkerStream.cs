using System.Collections.Concurrent;
using System.Threading.Channels;
using Grpc.Core;
using WixOAuth.Functions.Tests.Worker.Rpc;
using Content = WixOAuth.Functions.Tests.Worker.Rpc.StreamingMessage.ContentOneofCase;

namespace WixOAuth.Functions.Tests.Worker;

/// <summary>The host's end of the stream that one worker opens: requests with their answers, and what the worker logs.</summary>
internal sealed class WorkerStream(Action<string> log) : FunctionRpc.FunctionRpcBase
{
    private readonly Channel<StreamingMessage> _outgoing = Channel.CreateUnbounded<StreamingMessage>(new UnboundedChannelOptions { SingleReader = true });
    private readonly ConcurrentDictionary<string, TaskCompletionSource<StreamingMessage>> _waiting = new();

    /// <summary>Completes when the worker has opened the stream, and fails when the stream ends before.</summary>
    public Task Opened => _waiting.GetOrAdd(nameof(Content.StartStream), _ => NewAnswer()).Task;

    public override async Task EventStream(
        IAsyncStreamReader<StreamingMessage> requestStream, IServerStreamWriter<StreamingMessage> responseStream, ServerCallContext context)
    {
        var writing = WriteAsync(responseStream, context.CancellationToken);
        try
        {
            while (await requestStream.MoveNext(context.CancellationToken))
            {
                Receive(requestStream.Current);
            }
        }
        catch (Exception exception) when (exception is IOException or OperationCanceledException)
        {
            // The worker ended without closing the stream.
        }
        finally
        {
            _outgoing.Writer.TryComplete();
            await writing;
            FailAll();
        }
    }

    /// <summary>Sends a message that has no answer.</summary>
    public void Send(StreamingMessage message) => _outgoing.Writer.TryWrite(message);

    /// <summary>Sends a message and waits for its answer.</summary>
    /// <param name="message">The message.</param>
    /// <param name="key">What the answer is known by: <see cref="KeyOf"/>.</param>
    /// <exception cref="IOException">The stream ended before.</exception>
    public Task<StreamingMessage> AskAsync(StreamingMessage message, string key)
    {
        var answer = _waiting.GetOrAdd(key, _ => NewAnswer());
        if (!_outgoing.Writer.TryWrite(message))
        {
            answer.TrySetException(new IOException("The worker has closed the stream."));
        }

        return answer.Task;
    }

    private static string KeyOf(StreamingMessage message) => message.ContentCase switch
    {
        Content.InvocationResponse => message.InvocationResponse.InvocationId,
        Content.FunctionLoadResponse => message.FunctionLoadResponse.FunctionId,
        var kind => kind.ToString(),
    };

    private static TaskCompletionSource<StreamingMessage> NewAnswer() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void Receive(StreamingMessage message)
    {
        if (message.RpcLog is { } entry)
        {
            log($"[{entry.Category}] {entry.Level} {entry.Message} {entry.Exception?.Message} {entry.Exception?.StackTrace} {entry.Properties}");
        }
        else if (message.ContentCase == Content.StartStream)
        {
            _waiting.GetOrAdd(KeyOf(message), _ => NewAnswer()).TrySetResult(message);
        }
        else if (_waiting.TryRemove(KeyOf(message), out var answer))
        {
            answer.TrySetResult(message);
        }
    }

    private async Task WriteAsync(IServerStreamWriter<StreamingMessage> stream, CancellationToken cancellationToken)
    {
        try
        {
            await foreach (var message in _outgoing.Reader.ReadAllAsync(cancellationToken))
            {
                await stream.WriteAsync(message, cancellationToken);
            }
        }
        catch (Exception exception) when (exception is IOException or OperationCanceledException or InvalidOperationException)
        {
            // The worker is gone.
        }
    }

    private void FailAll()
    {
        foreach (var answer in _waiting.Values)
        {
            answer.TrySetException(new IOException("The worker has closed the stream."));
        }
    }
}

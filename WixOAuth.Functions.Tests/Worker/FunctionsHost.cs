using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Reflection;
using Google.Protobuf.WellKnownTypes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Functions.Tests.Worker.Rpc;

namespace WixOAuth.Functions.Tests.Worker;

/// <summary>
/// The part of the Functions host that runs one worker: it starts the Function App as a process, loads its functions over
/// gRPC, forwards HTTP requests to it, and runs its timers when asked to.
/// </summary>
internal sealed class FunctionsHost : IAsyncDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(3);

    private readonly WebApplication _app;
    private readonly WorkerStream _stream;
    private readonly ConcurrentQueue<string> _output = new();
    private readonly ConcurrentQueue<string> _errors = new();
    private HttpForwarder? _forwarder;

    private FunctionsHost(string? functionKey)
    {
        FunctionKey = functionKey;
        _stream = new WorkerStream(_output.Enqueue);
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestLineSize = 128 * 1024;
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2);
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http1);
        });
        builder.Services.AddGrpc(grpc => grpc.MaxReceiveMessageSize = null);
        builder.Services.AddSingleton(_stream);
        builder.Services.AddRouting();
        _app = builder.Build();
        _app.MapGrpcService<WorkerStream>();
        _app.MapFallback("{**path}", context => _forwarder!.AnswerAsync(context));
    }

    /// <summary>The key that functions of the level Function ask for; null to ask for none.</summary>
    public string? FunctionKey { get; }

    /// <summary>Where requests are taken. The functions are below <c>/api</c>.</summary>
    public Uri Url { get; private set; } = null!;

    public WorkerProcess Process { get; private set; } = null!;

    public IReadOnlyList<WorkerFunction> Functions { get; private set; } = [];

    public IReadOnlyDictionary<string, string> Capabilities { get; private set; } = new Dictionary<string, string>();

    /// <summary>Everything that the worker has written or logged, on whatever way.</summary>
    public string Output => string.Join('\n', _output.Concat(_errors));

    /// <summary>How the latest HTTP invocation ends.</summary>
    public Task<StatusResult> LatestInvocation { get; internal set; } = Task.FromResult(new StatusResult());

    /// <summary>The lines of standard error.</summary>
    public IReadOnlyList<string> Errors => [.. _errors];

    /// <summary>The path of the Function App that was built with these tests: <c>FunctionApp</c> or <c>EmptyFunctionApp</c>.</summary>
    public static string Built(string app) =>
        Path.GetFullPath(typeof(FunctionsHost).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(each => each.Key == app).Value!);

    /// <summary>Starts the host alone, so that its address is known before the settings of the worker.</summary>
    public static async Task<FunctionsHost> ListenAsync(string? functionKey)
    {
        var host = new FunctionsHost(functionKey);
        await host._app.StartAsync();
        host.Url = host.Addresses[1];
        return host;
    }

    /// <summary>Starts the worker and waits until its functions are loaded.</summary>
    /// <exception cref="IOException">It ended before.</exception>
    public async Task StartWorkerAsync(string assembly, IReadOnlyDictionary<string, string?> settings)
    {
        Launch(assembly, settings);
        await FirstAsync(_stream.Opened);
        var folder = Path.GetDirectoryName(assembly)!;
        var init = new WorkerInitRequest { HostVersion = "4.1000.0", WorkerDirectory = folder, FunctionAppDirectory = folder };
        var initialized = await FirstAsync(AskAsync(new StreamingMessage { WorkerInitRequest = init }, nameof(StreamingMessage.ContentOneofCase.WorkerInitResponse)));
        Assert.Equal(StatusResult.Types.Status.Success, initialized.WorkerInitResponse.Result.Status);
        Capabilities = initialized.WorkerInitResponse.Capabilities;

        var metadata = await FirstAsync(AskAsync(
            new StreamingMessage { FunctionsMetadataRequest = new FunctionsMetadataRequest { FunctionAppDirectory = folder } },
            nameof(StreamingMessage.ContentOneofCase.FunctionMetadataResponse)));
        Functions = [.. metadata.FunctionMetadataResponse.FunctionMetadataResults.Select(each => new WorkerFunction(each))];
        foreach (var function in Functions)
        {
            var id = function.Metadata.FunctionId;
            var loaded = await FirstAsync(AskAsync(
                new StreamingMessage { FunctionLoadRequest = new FunctionLoadRequest { FunctionId = id, Metadata = function.Metadata } }, id));
            Assert.Equal(StatusResult.Types.Status.Success, loaded.FunctionLoadResponse.Result.Status);
        }

        var worker = new Uri(Capabilities["HttpUri"]);
        await UntilListeningAsync(worker).WaitAsync(s_patience);
        _forwarder = new HttpForwarder(this, worker);
    }

    // The worker announces its address before it listens there, and the real host tries again as well.
    private static async Task UntilListeningAsync(Uri worker)
    {
        while (true)
        {
            using var client = new TcpClient();
            try
            {
                await client.ConnectAsync(worker.Host, worker.Port);
                return;
            }
            catch (SocketException)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
            }
        }
    }

    /// <summary>Starts the worker and waits for nothing.</summary>
    public void Launch(string assembly, IReadOnlyDictionary<string, string?> settings) =>
        Process = WorkerProcess.Start(assembly, Addresses[0], settings, _output.Enqueue, _errors.Enqueue);

    /// <summary>Runs a timer function; answers how it ended.</summary>
    public async Task<StatusResult> RunTimerAsync(string name)
    {
        var function = Functions.Single(each => each.Name == name);
        var timer = new ParameterBinding
        {
            Name = function.Parameter,
            Data = new TypedData { Json = """{"Schedule":{"AdjustForDST":true},"ScheduleStatus":null,"IsPastDue":false}""" },
        };
        return await InvokeAsync(NewInvocation(), function, timer, []).WaitAsync(s_patience);
    }

    /// <summary>Hands a message of its queue to a function; answers how it ended.</summary>
    public async Task<StatusResult> RunQueueAsync(string name, string message)
    {
        var function = Functions.Single(each => each.Name == name);
        var binding = new ParameterBinding { Name = function.Parameter, Data = new TypedData { String = message } };
        KeyValuePair<string, string>[] metadata = [new("DequeueCount", "1"), new("Id", NewInvocation()), new("QueueTrigger", message)];
        return await InvokeAsync(NewInvocation(), function, binding, metadata).WaitAsync(s_patience);
    }

    /// <summary>Runs a function; answers how it ended.</summary>
    public async Task<StatusResult> InvokeAsync(
        string invocation, WorkerFunction function, ParameterBinding trigger, IEnumerable<KeyValuePair<string, string>> metadata)
    {
        var request = new InvocationRequest
        {
            InvocationId = invocation,
            FunctionId = function.Metadata.FunctionId,
            InputData = { trigger },
            TraceContext = new RpcTraceContext { TraceParent = $"00-{ActivityTraceId.CreateRandom()}-{ActivitySpanId.CreateRandom()}-01" },
        };
        foreach (var (name, value) in metadata)
        {
            request.TriggerMetadata[name] = new TypedData { String = value };
        }

        return (await AskAsync(new StreamingMessage { InvocationRequest = request }, invocation)).InvocationResponse.Result;
    }

    /// <summary>Tells the worker that an invocation was cancelled.</summary>
    public void Cancel(string invocation) => _stream.Send(new StreamingMessage
    {
        InvocationCancel = new InvocationCancel { InvocationId = invocation, GracePeriod = Duration.FromTimeSpan(TimeSpan.FromSeconds(5)) },
    });

    /// <summary>Asks the worker to end, as the host does before it scales in.</summary>
    public void TerminateWorker() => _stream.Send(new StreamingMessage
    {
        WorkerTerminate = new WorkerTerminate { GracePeriod = Duration.FromTimeSpan(TimeSpan.FromSeconds(5)) },
    });

    public static string NewInvocation() => Guid.NewGuid().ToString();

    public async ValueTask DisposeAsync()
    {
        if (Process is not null)
        {
            await Process.DisposeAsync();
        }

        _forwarder?.Dispose();
        using var atOnce = new CancellationTokenSource(TimeSpan.FromSeconds(1), TimeProvider.System);
        await _app.StopAsync(atOnce.Token);
        await _app.DisposeAsync();
    }

    // The gRPC address comes first.
    private List<Uri> Addresses =>
        [.. _app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Select(address => new Uri(address))];

    private Task<StreamingMessage> AskAsync(StreamingMessage message, string key)
    {
        message.RequestId = NewInvocation();
        return _stream.AskAsync(message, key);
    }

    private async Task<T> FirstAsync<T>(Task<T> answer)
    {
        await FirstAsync((Task)answer);
        return await answer;
    }

    private async Task FirstAsync(Task answer)
    {
        var ended = Process.Ended;
        if (await Task.WhenAny(answer, ended).WaitAsync(s_patience) == ended)
        {
            throw new IOException($"The worker ended with {await ended}:\n{Output}");
        }
    }
}

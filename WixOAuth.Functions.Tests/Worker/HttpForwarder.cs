using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Template;
using WixOAuth.Functions.Tests.Worker.Rpc;

namespace WixOAuth.Functions.Tests.Worker;

/// <summary>
/// Answers requests as the Functions host does for a worker with the capability HttpUri: it checks the key, announces the
/// invocation over gRPC, and forwards the request with the invocation's id in a header.
/// </summary>
internal sealed class HttpForwarder : IDisposable
{
    private static readonly HashSet<string> s_ofTheConnection = new(StringComparer.OrdinalIgnoreCase) { "Host", "Connection", "Transfer-Encoding", "Keep-Alive" };

    private readonly FunctionsHost _host;
    private readonly Uri _worker;
    private readonly List<(WorkerFunction Function, TemplateMatcher Route)> _routes;
    private readonly HttpMessageInvoker _http = new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        UseCookies = false,
        UseProxy = false,
        AutomaticDecompression = DecompressionMethods.None,
        ActivityHeadersPropagator = null,
    });

    public HttpForwarder(FunctionsHost host, Uri worker)
    {
        (_host, _worker) = (host, worker);
        _routes = [.. host.Functions.Where(function => function.IsHttp)
            .Select(function => (function, new TemplateMatcher(TemplateParser.Parse($"api/{function.Route}"), [])))];
    }

    public async Task AnswerAsync(HttpContext context)
    {
        var values = new RouteValueDictionary();
        var function = _routes.FirstOrDefault(each =>
            each.Function.Methods.Contains(context.Request.Method) && each.Route.TryMatch(context.Request.Path, values)).Function;
        if (function is null)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        if (!function.IsAnonymous && _host.FunctionKey is { } key && context.Request.Headers["x-functions-key"] != key)
        {
            context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            return;
        }

        var invocation = FunctionsHost.NewInvocation();
        await using var cancelled = context.RequestAborted.Register(() => _host.Cancel(invocation));
        var trigger = new ParameterBinding { Name = function.Parameter, Data = new TypedData { Http = new RpcHttp() } };
        var running = _host.InvokeAsync(invocation, function, trigger, values.Select(value => KeyValuePair.Create(value.Key, value.Value?.ToString() ?? "")));
        _host.LatestInvocation = running;
        try
        {
            await ForwardAsync(context, invocation);
            await running;
        }
        catch (Exception exception) when (exception is OperationCanceledException or HttpRequestException or IOException)
        {
            context.Abort();
        }
    }

    public void Dispose() => _http.Dispose();

    private async Task ForwardAsync(HttpContext context, string invocation)
    {
        using var request = new HttpRequestMessage(new HttpMethod(context.Request.Method), new Uri(_worker, $"{context.Request.Path.ToUriComponent()}{context.Request.QueryString}"));
        if (context.Request.ContentLength is > 0 || context.Request.Headers.ContainsKey("Transfer-Encoding"))
        {
            request.Content = new StreamContent(context.Request.Body);
        }

        foreach (var (name, values) in context.Request.Headers.Where(header => !s_ofTheConnection.Contains(header.Key)))
        {
            if (!request.Headers.TryAddWithoutValidation(name, (IEnumerable<string?>)values))
            {
                request.Content?.Headers.TryAddWithoutValidation(name, (IEnumerable<string?>)values);
            }
        }

        request.Headers.Host = context.Request.Host.Value;
        request.Headers.Add("x-ms-invocation-id", invocation);
        using var response = await _http.SendAsync(request, context.RequestAborted);
        context.Response.StatusCode = (int)response.StatusCode;
        foreach (var (name, values) in response.Headers.Concat(response.Content.Headers).Where(header => !s_ofTheConnection.Contains(header.Key)))
        {
            context.Response.Headers[name] = values.ToArray();
        }

        await response.Content.CopyToAsync(context.Response.Body, context.RequestAborted);
    }
}

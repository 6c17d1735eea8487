using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing.Patterns;
using Microsoft.Azure.Functions.Worker;

namespace WixOAuth.Local;

/// <summary>
/// Answers requests as the Functions host and its worker would: routes, keys, and functions that throw.
/// </summary>
internal sealed partial class FunctionHost(FunctionMap map, TimerService timers, IConfiguration configuration, ILogger<FunctionHost> logger)
{
    // The one key that function-level and admin-level endpoints ask for.
    private readonly byte[] _key = Encoding.UTF8.GetBytes(configuration["Functions:Key"]!.Trim());

    /// <summary>Maps every function below <paramref name="routePrefix"/>, and the address that fires timers.</summary>
    public void Map(WebApplication app, string routePrefix)
    {
        foreach (var function in map.Http)
        {
            var route = $"/{routePrefix}/{function.Trigger.Route ?? function.Name}".Replace("//", "/", StringComparison.Ordinal);
            var pattern = RoutePatternFactory.Parse(route);
            Map(app, route, function.Trigger.Methods ?? [], FunctionEndpoint.Of(function, pattern, app.Services));
        }

        Map(app, "/admin/functions/{name}", ["POST"], new FunctionEndpoint("admin", AuthorizationLevel.Admin, new Lazy<RequestDelegate>(() => FireAsync)));
        app.UseRouting();
        app.Run(TraceAsync);
    }

    private static void Map(WebApplication app, string route, string[] methods, FunctionEndpoint endpoint)
    {
        RequestDelegate never = _ => throw new InvalidOperationException("AnswerAsync answers.");
        var mapped = methods.Length == 0 ? app.Map(route, never) : app.MapMethods(route, methods, never);
        mapped.WithMetadata(endpoint);
    }

    // By its route, which holds no data of the caller: a path may, and a query string does.
    private async Task TraceAsync(HttpContext context)
    {
        try
        {
            await AnswerAsync(context);
        }
        finally
        {
            if (context.Features.Get<IHttpActivityFeature>()?.Activity is { IsAllDataRequested: true } activity)
            {
                var route = (context.GetEndpoint() as RouteEndpoint)?.RoutePattern.RawText;
                var status = context.Response.StatusCode;
                activity.DisplayName = $"{context.Request.Method} {route}".TrimEnd();
                activity.SetTag("http.request.method", context.Request.Method).SetTag("http.route", route).SetTag("http.response.status_code", status);
                if (status >= StatusCodes.Status500InternalServerError)
                {
                    activity.SetStatus(ActivityStatusCode.Error);
                }
            }
        }
    }

    private async Task AnswerAsync(HttpContext context)
    {
        var response = context.Response;

        // Routing answers a known route's wrong method with its own endpoint, a 405; the Functions host says 404.
        if (context.GetEndpoint()?.Metadata.GetMetadata<FunctionEndpoint>() is not { } endpoint)
        {
            response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        if (endpoint.Level != AuthorizationLevel.Anonymous && !HasKey(context.Request))
        {
            response.StatusCode = StatusCodes.Status401Unauthorized;
            return;
        }

        try
        {
            await endpoint.Run.Value(context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The caller has disconnected.
        }
        catch (Exception exception)
        {
            LogThrown(exception, endpoint.Name);
            if (response.HasStarted)
            {
                context.Abort();
                return;
            }

            // The real worker answers an empty 200 too. This host imitates it so that tests notice.
            response.Clear();
        }
    }

    // In the header, or where there is no header in the query.
    private bool HasKey(HttpRequest request) =>
        (request.Headers["x-functions-key"] is { Count: > 0 } header ? header : request.Query["code"]) is [{ } shown]
        && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(shown), _key);

    private Task FireAsync(HttpContext context)
    {
        var name = (string?)context.GetRouteValue("name");
        context.Response.StatusCode = timers.TryFire(name) ? StatusCodes.Status202Accepted : StatusCodes.Status404NotFound;
        return Task.CompletedTask;
    }

    [LoggerMessage(EventId = 1, Level = LogLevel.Error, Message = "The function {Function} threw; it answers an empty 200, as in Azure.")]
    private partial void LogThrown(Exception exception, string function);
}

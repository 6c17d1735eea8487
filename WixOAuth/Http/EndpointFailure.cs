using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Secrets;

namespace WixOAuth.Http;

/// <summary>
/// Turns every exception into an answer, because the Functions worker answers an empty 200 when a function throws. The type
/// and the stack trace are logged, but not the exception's message, which may quote the request.
/// </summary>
internal static partial class EndpointFailure
{
    /// <summary>Resolves an endpoint and has it answer; a problem where it cannot be resolved.</summary>
    public static Task<IResult> AnswerAsync<T>(this IServiceProvider services, Func<T, Task<IResult>> answer)
        where T : notnull => services.GetRequiredService<ILogger<T>>().GuardUnexpectedAsync(() => answer(services.GetRequiredService<T>()));

    /// <summary>For an endpoint of one instance; refuses parameters other than <paramref name="names"/>.</summary>
    public static Task<IResult> GuardInstanceAsync(
        this ILogger logger, HttpRequest request, string instanceId, Func<InstanceId, Task<IResult>> answer, string[]? names = null) =>
        logger.GuardAsync(async () => Parameters.RefuseUnknown(request, names ?? [])
            ?? (InstanceId.TryParse(instanceId, out var id) ? await answer(id) : Problems.InvalidInstanceId()));

    /// <summary>For an endpoint that has no parameters.</summary>
    public static Task<IResult> GuardAsync(this ILogger logger, HttpRequest request, Func<Task<IResult>> answer) =>
        logger.GuardAsync(async () => Parameters.RefuseUnknown(request) ?? await answer());

    /// <summary>For an endpoint that uses storage or secrets.</summary>
    public static Task<IResult> GuardAsync(this ILogger logger, Func<Task<IResult>> answer) => logger.GuardUnexpectedAsync(async () =>
    {
        try
        {
            return await answer();
        }
        catch (Exception exception) when (IsUnavailable(exception))
        {
            logger.Unavailable(exception.GetType().Name);
            return Problems.StorageUnavailable(TimeSpan.FromSeconds(5));
        }
    });

    /// <summary>For an endpoint that uses neither storage nor secrets, or handles their failures itself.</summary>
    public static async Task<IResult> GuardUnexpectedAsync(this ILogger logger, Func<Task<IResult>> answer)
    {
        try
        {
            return await answer();
        }
        catch (OperationCanceledException)
        {
            // The caller has disconnected.
            return new EmptyAnswer(StatusCodes.Status499ClientClosedRequest);
        }
        catch (Exception exception)
        {
            logger.Unexpected(exception.GetType().Name, exception.StackTrace);
            return Problems.Unexpected();
        }
    }

    public static bool IsUnavailable(Exception exception) => exception is StorageUnavailableException or SecretUnavailableException or InvalidDataException;

    [LoggerMessage(301, LogLevel.Error, "A request could not be served: {Error}")]
    public static partial void Unavailable(this ILogger logger, string error);

    [LoggerMessage(302, LogLevel.Error, "A request failed unexpectedly: {Error} {Stack}")]
    public static partial void Unexpected(this ILogger logger, string error, string? stack);
}

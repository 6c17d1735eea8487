using System.Reflection;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using WixOAuth.Functions.Tests.Conventions;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Http;

namespace WixOAuth.Functions.Tests.Http;

/// <summary>An endpoint that cannot be put together: a function that throws answers an empty 200, which Wix takes for a webhook that was handled.</summary>
public sealed class ResolutionTests
{
    private const string Secret = "a-secret-that-got-into-a-message";

    private static readonly Dictionary<string, MethodInfo> s_functions = typeof(InstallFunctions).Assembly.GetTypes()
        .SelectMany(type => type.GetMethods())
        .Where(method => method.IsDefined(typeof(FunctionAttribute)))
        .ToDictionary(method => method.Name);

    public static TheoryData<string> Answering => [.. Names(isHttp: true)];

    public static TheoryData<string> Triggered => [.. Names(isHttp: false)];

    [Theory]
    [MemberData(nameof(Answering))]
    public async Task A_function_whose_endpoint_cannot_be_put_together_answers_a_problem(string name)
    {
        using var logs = new LogLines();

        var answer = await (Task<IResult>)Run(name, logs);

        var (status, body) = await HttpApiTests.ExecuteAsync(answer);
        Assert.Equal(500, status);
        Assert.Equal("internal_error", JsonDocument.Parse(body).RootElement.GetProperty("code").GetString());
        AssertOnlyTheKindIsLogged(logs);
    }

    [Theory]
    [MemberData(nameof(Triggered))]
    public async Task A_timer_whose_endpoint_cannot_be_put_together_is_reported_as_failed(string name)
    {
        using var logs = new LogLines();

        var failure = await Assert.ThrowsAsync<TimerFailedException>(() => Run(name, logs));

        Assert.Equal($"{name} failed: FormatException.", failure.Message);
        Assert.Null(failure.InnerException);
        AssertOnlyTheKindIsLogged(logs);
    }

    private static IEnumerable<string> Names(bool isHttp) => s_functions.Values.Where(method => method.ReturnType == typeof(Task<IResult>) == isHttp).Select(method => method.Name);

    private static void AssertOnlyTheKindIsLogged(LogLines logs)
    {
        var line = Assert.Single(logs.All);
        Assert.Equal(LogLevel.Error, line.Level);
        Assert.Contains(nameof(FormatException), line.Text, StringComparison.Ordinal);
        Assert.DoesNotContain(Secret, line.Text, StringComparison.Ordinal);
    }

    private static Task Run(string name, LogLines logs)
    {
        var services = new ServiceCollection();
        services.AddSingleton<ILoggerFactory>(logs).AddSingleton(typeof(ILogger<>), typeof(Logger<>)).AddWixOAuth(Core.Configure());
        foreach (var type in services.Select(service => service.ServiceType).Where(type => type.Name.Contains("Endpoint", StringComparison.Ordinal) && !type.IsPublic).ToList())
        {
            services.Replace(new ServiceDescriptor(type, _ => throw new FormatException(Secret), ServiceLifetime.Singleton));
        }

        var provider = services.BuildServiceProvider();
        var method = s_functions[name];
        var arguments = method.GetParameters().Select(parameter => parameter.ParameterType switch
        {
            var type when type == typeof(HttpRequest) => new DefaultHttpContext().Request,
            var type when type == typeof(string) => "text",
            var type when type == typeof(CancellationToken) => (object)CancellationToken.None,
            _ => new TimerInfo(),
        });
        return (Task)method.Invoke(ActivatorUtilities.CreateInstance(provider, method.DeclaringType!), BindingFlags.DoNotWrapExceptions, binder: null, [.. arguments], culture: null)!;
    }
}

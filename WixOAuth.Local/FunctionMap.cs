using System.Reflection;
using Microsoft.AspNetCore.Routing.Patterns;
using Microsoft.Azure.Functions.Worker;

namespace WixOAuth.Local;

/// <summary>A function and the attribute that says what it runs for.</summary>
internal sealed record Function<TTrigger>(string Name, MethodInfo Method, TTrigger Trigger)
{
    /// <summary>
    /// Runs it on a new instance of its class, as the real worker does. A parameter gets the one of
    /// <paramref name="given"/> that has its type, otherwise a service.
    /// </summary>
    public async Task InvokeAsync(IServiceProvider services, params object[] given)
    {
        await using var scope = services.CreateAsyncScope();
        var instance = ActivatorUtilities.CreateInstance(scope.ServiceProvider, Method.ReflectedType!);
        var arguments = Method.GetParameters().Select(parameter =>
            Array.Find(given, value => value.GetType() == parameter.ParameterType) ?? scope.ServiceProvider.GetRequiredService(parameter.ParameterType)).ToArray();
        if (Method.Invoke(instance, BindingFlags.DoNotWrapExceptions, binder: null, arguments, culture: null) is Task running)
        {
            await running;
        }
    }
}

/// <summary>The functions of some classes, found as the real worker finds them: by their attributes.</summary>
internal sealed class FunctionMap
{
    private readonly List<(string Name, MethodInfo Method)> _functions;

    /// <exception cref="InvalidOperationException">Two have the same name, or one has no trigger that this host knows or states no level.</exception>
    public FunctionMap(IEnumerable<Type> classes)
    {
        _functions =
        [
            .. from type in classes
               from method in type.GetMethods()
               let function = method.GetCustomAttribute<FunctionAttribute>()
               where function is not null
               select (function.Name, method),
        ];
        (Http, Timers, Queues) = (Of<HttpTriggerAttribute>(), Of<TimerTriggerAttribute>(), Of<QueueTriggerAttribute>());
        var names = _functions.Select(function => function.Name).ToList();
        Refuse(names.GroupBy(name => name, StringComparer.OrdinalIgnoreCase).Where(same => same.Count() > 1).Select(same => same.Last()), "is there twice");
        Refuse(
            names.Except([.. Http.Select(each => each.Name), .. Timers.Select(each => each.Name), .. Queues.Select(each => each.Name)]),
            "has no trigger that this host knows");

        // The Functions host asks for a function key then, but the attribute says Anonymous.
        Refuse(Http.Where(function => !StatesLevel(function.Method)).Select(function => function.Name), "does not state its authorization level");
    }

    public IReadOnlyList<Function<HttpTriggerAttribute>> Http { get; }

    public IReadOnlyList<Function<TimerTriggerAttribute>> Timers { get; }

    public IReadOnlyList<Function<QueueTriggerAttribute>> Queues { get; }

    private List<Function<T>> Of<T>()
        where T : Attribute =>
    [
        .. from function in _functions
           from parameter in function.Method.GetParameters()
           let trigger = parameter.GetCustomAttribute<T>()
           where trigger is not null
           select new Function<T>(function.Name, function.Method, trigger),
    ];

    private static void Refuse(IEnumerable<string> names, string why)
    {
        if (names.FirstOrDefault() is { } name)
        {
            throw new InvalidOperationException($"The function {name} {why}.");
        }
    }

    private static bool StatesLevel(MethodInfo method) =>
        method.GetParameters().SelectMany(parameter => parameter.CustomAttributes).Any(attribute =>
            attribute.AttributeType == typeof(HttpTriggerAttribute)
            && attribute.ConstructorArguments.Any(argument => argument.ArgumentType == typeof(AuthorizationLevel)));
}

/// <summary>What a route leads to. <c>Run</c> is made at the first request, which keeps the start short.</summary>
internal sealed record FunctionEndpoint(string Name, AuthorizationLevel Level, Lazy<RequestDelegate> Run)
{
    /// <summary>What runs <paramref name="function"/>: a new instance of its class for each request, as in the real worker.</summary>
    public static FunctionEndpoint Of(Function<HttpTriggerAttribute> function, RoutePattern route, IServiceProvider services) =>
        new(function.Name, function.Trigger.AuthLevel, new Lazy<RequestDelegate>(() =>
        {
            var options = new RequestDelegateFactoryOptions
            {
                ServiceProvider = services,
                RouteParameterNames = route.Parameters.Select(parameter => parameter.Name),
            };
            var create = ActivatorUtilities.CreateFactory(function.Method.ReflectedType!, Type.EmptyTypes);
            return RequestDelegateFactory.Create(function.Method, context => create(context.RequestServices, []), options).RequestDelegate;
        }));
}

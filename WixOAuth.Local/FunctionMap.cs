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
        var instance = Method.IsStatic ? null : ActivatorUtilities.CreateInstance(scope.ServiceProvider, Method.ReflectedType!);
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
    private readonly List<Function<HttpTriggerAttribute>> _http = [];
    private readonly List<Function<TimerTriggerAttribute>> _timers = [];
    private readonly List<Function<QueueTriggerAttribute>> _queues = [];

    /// <exception cref="InvalidOperationException">Two have the same name, or one has no trigger that this host knows or states no level.</exception>
    public FunctionMap(IEnumerable<Type> classes)
    {
        var seen = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var method in classes.SelectMany(type => type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static)))
        {
            if (method.GetCustomAttribute<FunctionAttribute>() is { Name: var name })
            {
                if (!seen.Add(name))
                {
                    throw new InvalidOperationException($"There are two functions of the name {name}.");
                }

                Add(name, method);
            }
        }
    }

    /// <summary>The functions that answer HTTP requests.</summary>
    public IReadOnlyList<Function<HttpTriggerAttribute>> Http => _http;

    /// <summary>The functions that run by a schedule.</summary>
    public IReadOnlyList<Function<TimerTriggerAttribute>> Timers => _timers;

    /// <summary>The functions that handle messages.</summary>
    public IReadOnlyList<Function<QueueTriggerAttribute>> Queues => _queues;

    /// <summary>The functions of <paramref name="assembly"/>'s public classes.</summary>
    public static FunctionMap Of(Assembly assembly) => new(assembly.GetExportedTypes().Where(type => type.IsClass && (!type.IsAbstract || type.IsSealed)));

    private void Add(string name, MethodInfo method)
    {
        if (Trigger<HttpTriggerAttribute>(method) is { } http)
        {
            // The Functions host asks for a function key then, but the attribute says Anonymous.
            if (!StatesLevel(method))
            {
                throw new InvalidOperationException($"The function {name} does not state its authorization level.");
            }

            _http.Add(new(name, method, http));
        }
        else if (Trigger<TimerTriggerAttribute>(method) is { } timer)
        {
            _timers.Add(new(name, method, timer));
        }
        else if (Trigger<QueueTriggerAttribute>(method) is { } queue)
        {
            _queues.Add(new(name, method, queue));
        }
        else
        {
            throw new InvalidOperationException($"The function {name} has no trigger that this host knows.");
        }
    }

    private static bool StatesLevel(MethodInfo method) =>
        method.GetParameters().SelectMany(parameter => parameter.CustomAttributes).Any(attribute =>
            attribute.AttributeType == typeof(HttpTriggerAttribute)
            && attribute.ConstructorArguments.Any(argument => argument.ArgumentType == typeof(AuthorizationLevel)));

    private static T? Trigger<T>(MethodInfo method)
        where T : Attribute =>
        method.GetParameters().Select(parameter => parameter.GetCustomAttribute<T>()).FirstOrDefault(trigger => trigger is not null);
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
            var type = function.Method.ReflectedType!;
            if (function.Method.IsStatic)
            {
                return RequestDelegateFactory.Create(function.Method, targetFactory: null, options).RequestDelegate;
            }

            var create = ActivatorUtilities.CreateFactory(type, Type.EmptyTypes);
            return RequestDelegateFactory.Create(function.Method, context => create(context.RequestServices, []), options).RequestDelegate;
        }));
}

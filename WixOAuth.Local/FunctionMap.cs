using System.Reflection;
using Microsoft.AspNetCore.Routing.Patterns;
using Microsoft.Azure.Functions.Worker;

namespace WixOAuth.Local;

/// <summary>A function that answers HTTP requests.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Method">What runs.</param>
/// <param name="Trigger">Its route, methods and level.</param>
internal sealed record HttpFunction(string Name, MethodInfo Method, HttpTriggerAttribute Trigger);

/// <summary>A function that runs by a schedule.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Method">What runs.</param>
/// <param name="Trigger">Its schedule.</param>
internal sealed record TimerFunction(string Name, MethodInfo Method, TimerTriggerAttribute Trigger);

/// <summary>A function that handles the messages of a queue.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Method">What runs.</param>
/// <param name="Trigger">Its queue.</param>
internal sealed record QueueFunction(string Name, MethodInfo Method, QueueTriggerAttribute Trigger);

/// <summary>The functions of some classes, found as the real worker finds them: by their attributes.</summary>
internal sealed class FunctionMap
{
    private readonly List<HttpFunction> _http = [];
    private readonly List<TimerFunction> _timers = [];
    private readonly List<QueueFunction> _queues = [];

    /// <summary>Finds the functions of <paramref name="classes"/>.</summary>
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
    public IReadOnlyList<HttpFunction> Http => _http;

    /// <summary>The functions that run by a schedule.</summary>
    public IReadOnlyList<TimerFunction> Timers => _timers;

    /// <summary>The functions that handle messages.</summary>
    public IReadOnlyList<QueueFunction> Queues => _queues;

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

            _http.Add(new HttpFunction(name, method, http));
        }
        else if (Trigger<TimerTriggerAttribute>(method) is { } timer)
        {
            _timers.Add(new TimerFunction(name, method, timer));
        }
        else if (Trigger<QueueTriggerAttribute>(method) is { } queue)
        {
            _queues.Add(new QueueFunction(name, method, queue));
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

/// <summary>What a route leads to.</summary>
/// <param name="Name">The function's name.</param>
/// <param name="Level">Which key a request has to show.</param>
/// <param name="Run">What answers; made at the first request, which keeps the start short.</param>
internal sealed record FunctionEndpoint(string Name, AuthorizationLevel Level, Lazy<RequestDelegate> Run)
{
    /// <summary>What runs <paramref name="function"/>: a new instance of its class for each request, as in the real worker.</summary>
    public static FunctionEndpoint Of(HttpFunction function, RoutePattern route, IServiceProvider services) =>
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

using System.Reflection;
using Microsoft.Azure.Functions.Worker;

namespace WixOAuth.Functions.Tests;

/// <summary>What the functions' attributes declare beyond the tables of docs/http-api.md.</summary>
public class FunctionContractTests
{
    private static readonly Dictionary<string, MethodInfo> Functions = typeof(InstallFunctions).Assembly.GetTypes()
        .SelectMany(type => type.GetMethods())
        .Where(method => method.GetCustomAttribute<FunctionAttribute>() is not null)
        .ToDictionary(method => method.GetCustomAttribute<FunctionAttribute>()!.Name);

    [Fact]
    public void ImportInstance_alone_asks_for_the_master_key() => Assert.Equal(
        ["ImportInstance"],
        Functions.Where(function => Trigger<HttpTriggerAttribute>(function.Value)?.AuthLevel == AuthorizationLevel.Admin).Select(function => function.Key));

    [Fact]
    public void The_queue_and_its_connection_are_those_of_the_contract() => Assert.Equal(
        ["RefreshShard refresh-shards Sweep"],
        Functions
            .Select(function => (function.Key, Trigger: Trigger<QueueTriggerAttribute>(function.Value)))
            .Where(function => function.Trigger is not null)
            .Select(function => $"{function.Key} {function.Trigger!.QueueName} {function.Trigger.Connection}"));

    [Fact]
    public void A_function_is_named_as_its_method_and_hands_on_cancellation()
    {
        Assert.NotEmpty(Functions);
        Assert.All(Functions, function =>
        {
            Assert.Equal(function.Key, function.Value.Name);
            Assert.Contains(function.Value.GetParameters(), parameter => parameter.ParameterType == typeof(CancellationToken));
        });
    }

    private static T? Trigger<T>(MethodInfo method)
        where T : Attribute =>
        method.GetParameters().Select(parameter => parameter.GetCustomAttribute<T>()).SingleOrDefault(trigger => trigger is not null);
}

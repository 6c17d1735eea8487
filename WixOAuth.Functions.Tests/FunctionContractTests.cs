using System.Reflection;
using Microsoft.Azure.Functions.Worker;

namespace WixOAuth.Functions.Tests;

/// <summary>The functions as their attributes declare them, against the contract's tables.</summary>
public class FunctionContractTests
{
    private static readonly Dictionary<string, MethodInfo> Functions = typeof(InstallFunctions).Assembly.GetTypes()
        .SelectMany(type => type.GetMethods())
        .Where(method => method.GetCustomAttribute<FunctionAttribute>() is not null)
        .ToDictionary(method => method.GetCustomAttribute<FunctionAttribute>()!.Name);

    [Fact]
    public void Http_functions_have_the_routes_methods_and_levels_of_the_contract() => Assert.Equal(
        [
            "AppUrl get,head install Anonymous",
            "CompleteSetup post instances/{instanceId}/setup Function",
            "ConfirmLink post install Anonymous",
            "CreateInstallLink post install-links Function",
            "ForgetInstance delete instances/{instanceId} Function",
            "GetInstance get instances/{instanceId} Function",
            "GetToken get instances/{instanceId}/token Function",
            "Health get,head health Anonymous",
            "ImportInstance put instances/{instanceId} Admin",
            "ListInstances get instances Function",
            "OpenApi get,head openapi.json Anonymous",
            "RedeliverEvents post events/redeliver Function",
            "Redirect get,head redirect Anonymous",
            "RefreshInstance post instances/{instanceId}/refresh Function",
            "SetCustomer put instances/{instanceId}/customer Function",
            "Status get status Anonymous",
            "StatusView get status/view Function",
            "WixWebhook post webhooks Anonymous",
        ],
        Functions
            .Select(function => (function.Key, Trigger: Trigger<HttpTriggerAttribute>(function.Value)))
            .Where(function => function.Trigger is not null)
            .Select(function => $"{function.Key} {string.Join(',', function.Trigger!.Methods!)} {function.Trigger.Route} {function.Trigger.AuthLevel}")
            .Order(StringComparer.Ordinal));

    [Fact]
    public void Timers_have_the_schedules_of_the_contract() => Assert.Equal(
        ["Backup %BackupSchedule%", "Housekeeping %HousekeepingSchedule%", "RefreshTokens %RefreshSchedule%"],
        Functions
            .Select(function => (function.Key, Trigger: Trigger<TimerTriggerAttribute>(function.Value)))
            .Where(function => function.Trigger is not null)
            .Select(function => $"{function.Key} {function.Trigger!.Schedule}")
            .Order(StringComparer.Ordinal));

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

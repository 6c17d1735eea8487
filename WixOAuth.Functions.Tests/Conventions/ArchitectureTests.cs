using System.Reflection;
using Mono.Cecil;
using Mono.Cecil.Cil;
using NetArchTest.Rules;
using WixOAuth.Local;

namespace WixOAuth.Functions.Tests.Conventions;

/// <summary>Which parts may depend on which, and what the core must not call: read from the compiled code.</summary>
public sealed class ArchitectureTests
{
    private static readonly Assembly s_core = typeof(ServiceRegistration).Assembly;

    private static readonly string[] s_hosts = ["WixOAuth.Local", "WixOAuth.Functions", "Microsoft.Azure.Functions"];

    private static readonly string[] s_blocking =
    [
        "System.Threading.Thread::Sleep", "System.Threading.Tasks.Task::Wait", "System.Threading.Tasks.Task::WaitAll", "System.Threading.Tasks.Task::WaitAny",
        "System.Threading.Tasks.Task`1::get_Result", "System.Threading.Tasks.ValueTask`1::get_Result",
    ];

    private static readonly string[] s_clocks =
    [
        "System.DateTime::get_Now", "System.DateTime::get_UtcNow", "System.DateTime::get_Today", "System.DateTimeOffset::get_Now", "System.DateTimeOffset::get_UtcNow",
        "System.Environment::get_TickCount", "System.Environment::get_TickCount64", "System.Diagnostics.Stopwatch::StartNew", "System.Diagnostics.Stopwatch::GetTimestamp",
    ];

    [Fact]
    public void The_core_knows_no_host()
    {
        AssertKnowsNone(Types.InAssembly(s_core), s_hosts);
        Assert.DoesNotContain(s_core.GetReferencedAssemblies(), assembly => s_hosts.Any(host => assembly.Name!.StartsWith(host, StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("WixOAuth.Wix", "WixOAuth.Storage")]
    [InlineData("WixOAuth.Storage", "WixOAuth.Wix")]
    [InlineData("WixOAuth.Wix", "WixOAuth.Http", "WixOAuth.Install", "WixOAuth.Tokens", "WixOAuth.Lifecycle", "WixOAuth.Pages")]
    [InlineData("WixOAuth.Storage", "WixOAuth.Http", "WixOAuth.Install", "WixOAuth.Tokens", "WixOAuth.Lifecycle", "WixOAuth.Pages")]
    [InlineData("WixOAuth.Secrets", "WixOAuth.Http", "WixOAuth.Install", "WixOAuth.Instances", "WixOAuth.Protection", "WixOAuth.Tokens", "WixOAuth.Lifecycle", "WixOAuth.Pages", "WixOAuth.Storage")]
    [InlineData("WixOAuth.Protection", "WixOAuth.Http", "WixOAuth.Install", "WixOAuth.Tokens", "WixOAuth.Lifecycle", "WixOAuth.Pages", "WixOAuth.Storage", "WixOAuth.Maintenance")]
    [InlineData("WixOAuth.Install", "WixOAuth.Http", "WixOAuth.Storage", "Azure.Data.Tables", "Microsoft.AspNetCore.Http")]
    [InlineData("WixOAuth.Tokens", "WixOAuth.Http", "WixOAuth.Storage", "Azure.Data.Tables", "Microsoft.AspNetCore.Http")]
    [InlineData("WixOAuth.Instances", "WixOAuth.Http", "WixOAuth.Storage", "Azure.Data.Tables", "Microsoft.AspNetCore.Http")]
    [InlineData("WixOAuth.Lifecycle", "WixOAuth.Http", "WixOAuth.Storage", "Azure.Data.Tables", "Microsoft.AspNetCore.Http")]
    public void Parts_of_the_core_do_not_depend_on_parts_above_them(string part, params string[] others)
    {
        var types = Types.InAssembly(s_core).That().ResideInNamespace(part);
        Assert.NotEmpty(types.GetTypes());
        AssertKnowsNone(types, others);
    }

    // Shows that the rules above can fail.
    [Fact]
    public void An_existing_dependency_is_found()
    {
        Assert.False(Types.InAssembly(s_core).That().ResideInNamespace("WixOAuth.Install").ShouldNot().HaveDependencyOn("WixOAuth.Wix").GetResult().IsSuccessful);
        Assert.False(Types.InAssembly(typeof(LocalHost).Assembly).ShouldNot().HaveDependencyOn("Microsoft.Azure.Functions").GetResult().IsSuccessful);
    }

    [Fact]
    public void The_core_asks_no_clock_but_the_one_it_is_given_and_blocks_no_thread_and_has_no_console()
    {
        Assert.Empty(CallsIn(s_core, s_clocks));
        Assert.Empty(CallsIn(s_core, s_blocking));
        Assert.Empty(CallsIn(s_core, ["System.Console::", "System.Environment::Exit", "System.Environment::FailFast"]));

        // Shows that the checks above can fail.
        Assert.NotEmpty(CallsIn(typeof(LocalHost).Assembly, ["System.Console::"]));
        Assert.Contains(CallsIn(typeof(ArchitectureTests).Assembly, ["System.Environment::get_TickCount64"]), call => call.Contains(nameof(Sample), StringComparison.Ordinal));
        Assert.Contains(CallsIn(typeof(ArchitectureTests).Assembly, ["System.Threading.Tasks.ValueTask`1::get_Result"]), call => call.Contains(nameof(Sample), StringComparison.Ordinal));
    }

#pragma warning disable RS0030 // Banned, which is why it is here.
    private static long Sample() => Environment.TickCount64 + new ValueTask<int>(0).Result;
#pragma warning restore RS0030

    private static void AssertKnowsNone(PredicateList types, string[] others) => AssertSuccessful(types.ShouldNot().HaveDependencyOnAny(others).GetResult());

    private static void AssertKnowsNone(Types types, string[] others) => AssertSuccessful(types.ShouldNot().HaveDependencyOnAny(others).GetResult());

    private static void AssertSuccessful(TestResult result) => Assert.True(result.IsSuccessful, string.Join(", ", result.FailingTypes?.Select(type => type.FullName) ?? []));

    /// <summary>Which methods call one whose name begins so, as <c>caller -> called</c>.</summary>
    private static List<string> CallsIn(Assembly assembly, string[] beginnings)
    {
        using var module = ModuleDefinition.ReadModule(assembly.Location);
        return
        [
            .. from type in module.GetTypes()

               // Coverage measurement adds its own type to the assembly.
               where !type.FullName.StartsWith("Coverlet.", StringComparison.Ordinal)
               from method in type.Methods
               where method.HasBody
               from instruction in method.Body.Instructions
               where instruction.OpCode.FlowControl == FlowControl.Call && instruction.Operand is MethodReference
               let called = (MethodReference)instruction.Operand
               let name = $"{called.DeclaringType.GetElementType().FullName}::{called.Name}"
               where beginnings.Any(beginning => beginning.EndsWith(':') ? name.StartsWith(beginning, StringComparison.Ordinal) : name == beginning)
               select $"{type.FullName}.{method.Name} -> {name}",
        ];
    }
}

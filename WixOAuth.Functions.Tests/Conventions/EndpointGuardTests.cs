using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using Mono.Cecil;
using Mono.Cecil.Cil;
using RazorSlices;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Http;
using WixOAuth.Pages;

namespace WixOAuth.Functions.Tests.Conventions;

/// <summary>A function that throws answers an empty 200, so all that may fail happens inside a guard: rendering a page and serializing a body too.</summary>
public sealed class EndpointGuardTests : IDisposable
{
    private const string Secret = "a-secret-that-got-into-a-message";

    private readonly ModuleDefinition _core = ModuleDefinition.ReadModule(typeof(Problems).Assembly.Location);

    public void Dispose() => _core.Dispose();

    [Fact]
    public void An_endpoint_does_nothing_outside_its_guard()
    {
        var endpoints =
            (from type in _core.GetTypes()
             where type.Namespace == "WixOAuth.Http"
             from method in type.Methods
             where method is { IsPublic: true, IsStatic: false } && IsAnswer(method.ReturnType)
             select method).ToList();

        Assert.True(endpoints.Count > 15);
        Assert.All(endpoints, endpoint => Assert.StartsWith("Guard", Assert.Single(CallsIn(endpoint)).Name, StringComparison.Ordinal));
    }

    // The host executes a response after the guard has returned.
    [Fact]
    public void A_response_renders_no_page()
    {
        var responses = _core.GetTypes().Where(type => IsResponse(Outermost(type))).ToList();

        Assert.Contains(responses, type => type.Name == nameof(HandshakePage));
        Assert.DoesNotContain(responses.SelectMany(type => type.Methods).SelectMany(CallsIn), IsOfSlices);

        // Shows that the check above can fail.
        Assert.Contains(_core.GetTypes().Where(type => Outermost(type).Name == nameof(StatusEndpoint)).SelectMany(type => type.Methods).SelectMany(CallsIn), IsOfSlices);
    }

    [Fact]
    public Task A_page_that_fails_while_it_renders_is_a_problem_and_one_log_line() =>
        AssertGuardedAsync(async () => new HandshakePage(200, await Page.RenderAsync("Half a page", new FailingPage())));

    [Fact]
    public Task A_body_that_fails_while_it_is_serialized_is_a_problem_and_one_log_line() => AssertGuardedAsync(() => Task.FromResult<IResult>(
        new JsonAnswer<FailingBody>(new FailingBody(), (JsonTypeInfo<FailingBody>)JsonSerializerOptions.Default.GetTypeInfo(typeof(FailingBody)))));

    private static async Task AssertGuardedAsync(Func<Task<IResult>> answer)
    {
        using var logs = new LogLines();

        var (status, body) = await HttpApiTests.ExecuteAsync(await logs.For<EndpointGuardTests>().GuardUnexpectedAsync(answer));

        Assert.Equal(500, status);
        Assert.Equal("internal_error", JsonDocument.Parse(body).RootElement.GetProperty("code").GetString());
        var text = Assert.Single(logs.All).Text;
        Assert.Contains(nameof(InvalidOperationException), text, StringComparison.Ordinal);
        Assert.DoesNotContain(Secret, text, StringComparison.Ordinal);
    }

    private static bool IsAnswer(TypeReference type) => type.FullName == "System.Threading.Tasks.Task`1<Microsoft.AspNetCore.Http.IResult>";

    // Without constructors, which make the closure and the delegate for the guard, and without coverlet's counters.
    private static IEnumerable<MethodReference> CallsIn(MethodDefinition method) => !method.HasBody ? [] : method.Body.Instructions
        .Where(each => each.OpCode.Code is Code.Call or Code.Callvirt)
        .Select(each => (MethodReference)each.Operand)
        .Where(called => !called.DeclaringType.FullName.StartsWith("Coverlet.", StringComparison.Ordinal));

    private static bool IsResponse(TypeDefinition type) =>
        type.FullName == typeof(Answer).FullName || (type.BaseType is { } parent && parent.Scope == type.Module && IsResponse(parent.Resolve()));

    private static bool IsOfSlices(MethodReference called) => called.DeclaringType.Scope.Name == "RazorSlices";

    private static TypeDefinition Outermost(TypeDefinition type) => type.DeclaringType is { } outer ? Outermost(outer) : type;

    private sealed record FailingBody
    {
        public string Text => throw new InvalidOperationException(Secret);
    }

    private sealed class FailingPage : RazorSlice
    {
        public override Task ExecuteAsync()
        {
            WriteLiteral("<p>Half of");
            throw new InvalidOperationException(Secret);
        }
    }
}

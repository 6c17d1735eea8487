using System.Reflection;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using Mono.Cecil;
using Mono.Cecil.Cil;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Http;
using WixOAuth.Install;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Conventions;

/// <summary>
/// The table of answers in docs/http-api.md, function by function, against what the compiled code can answer: the answers,
/// problems and pages that are made in any method that the function may call.
/// </summary>
public sealed class AnswersTests : IAsyncLifetime
{
    private const string Document = "docs/http-api.md";

    private readonly CallGraph _core = new(typeof(Problems).Assembly, "WixOAuth.Http", "WixOAuth.Install");

    /// <summary>"404 unknown_instance" by "UnknownInstance".</summary>
    private readonly Dictionary<string, List<string>> _problems = [];

    /// <summary>"400 page bad_link".</summary>
    private readonly Dictionary<InstallProblem, string> _pages = [];

    public async Task InitializeAsync()
    {
        foreach (var method in typeof(Problems).GetMethods(BindingFlags.Public | BindingFlags.Static))
        {
            var made = _problems[method.Name] = [];
            foreach (var (status, body) in await HttpApiTests.ExecuteAllAsync(method))
            {
                made.Add($"{status} {JsonDocument.Parse(body).RootElement.GetProperty("code").GetString()}");
            }
        }

        foreach (var problem in Enum.GetValues<InstallProblem>())
        {
            _pages[problem] = $"{InstallEndpoints.StatusOf(problem)} page {SnakeCaseEnum.Of(problem)}";
        }
    }

    public Task DisposeAsync()
    {
        _core.Dispose();
        return Task.CompletedTask;
    }

    [Fact]
    public void Each_function_answers_what_its_row_says_and_nothing_else()
    {
        var (problems, pages) = (Statuses("## Errors"), Statuses("## Pages"));
        var rows = Repository.Table(Document, "## Answers");
        var documented =
            from row in rows
            from answer in Cell(row[1]).Concat(Errors(row[2], problems, pages))
            select $"{row[0]}: {answer}";
        var made =
            from row in rows
            from answer in MethodsOf(row[0]).SelectMany(AnswersMadeIn).Distinct()
            select $"{row[0]}: {answer}";

        Assert.Equal(documented.Order(StringComparer.Ordinal), made.Order(StringComparer.Ordinal));
    }

    // What is made anywhere else would escape the other test.
    [Fact]
    public void No_answer_is_made_in_a_method_that_no_function_calls()
    {
        var reached = Repository.Table(Document, "## Answers").SelectMany(row => MethodsOf(row[0])).ToHashSet();

        Assert.Empty(_core.Methods.Where(method => !IsProblem(method) && !reached.Contains(method) && AnswersMadeIn(method).Any()).Select(method => method.FullName));
    }

    private static bool IsProblem(MethodDefinition method) => method.DeclaringType.FullName == typeof(Problems).FullName;

    private HashSet<MethodDefinition> MethodsOf(string function)
    {
        var trigger = typeof(InstallFunctions).Assembly.GetTypes().SelectMany(type => type.GetMethods())
            .Single(method => method.GetCustomAttribute<FunctionAttribute>()?.Name == function);
        using var host = ModuleDefinition.ReadModule(trigger.Module.Assembly.Location);
        var endpoint = host.GetType(trigger.DeclaringType!.FullName).Methods.Single(method => method.Name == trigger.Name)
            .Body.Instructions.Select(each => each.Operand).OfType<MethodDefinition>().SelectMany(lambda => lambda.Body.Instructions)
            .Select(each => each.Operand).OfType<MethodReference>().Single(called => called.DeclaringType.Namespace == "WixOAuth.Http");
        return _core.Reachable(endpoint.DeclaringType.FullName, endpoint.Name, isLeaf: IsProblem);
    }

    // A record's copy is not a new answer.
    private IEnumerable<string> AnswersMadeIn(MethodDefinition method) => method.Name == "<Clone>$" ? [] :
        from each in method.Body.Instructions
        where each.Operand is MethodReference
        let called = (MethodReference)each.Operand
        from answer in each.OpCode.Code == Code.Newobj ? AnswersOf(called.DeclaringType, method, each)
            : called.DeclaringType.FullName == typeof(Problems).FullName ? _problems[called.Name]
            : []
        select answer;

    private IEnumerable<string> AnswersOf(TypeReference made, MethodDefinition method, Instruction constructor)
    {
        int? LastArgument() => FindLastArgument(method, constructor);
        int Status() => LastArgument() ?? throw new InvalidOperationException($"{method.FullName}: the status of an answer should be a constant, so that it can be read here.");
        return made.GetElementType().FullName switch
        {
            "WixOAuth.Http.JsonAnswer`1" => [$"{Status()} {((GenericInstanceType)made).GenericArguments[0].Name}"],
            "WixOAuth.Http.EmptyAnswer" => Status() == StatusCodes.Status499ClientClosedRequest ? [] : [$"{Status()}"],
            "WixOAuth.Http.OpenApiAnswer" => ["200 JSON"],
            "WixOAuth.Http.OperatorsPage" => Status() == 400 ? _problems[nameof(Problems.InvalidRequest)] : [$"{Status()} page"],
            "WixOAuth.Http.SeeOtherAnswer" => ["303"],
            "WixOAuth.Install.InstallResult/Consent" or "WixOAuth.Install.InstallResult/CloseWindow" => ["302"],
            "WixOAuth.Install.InstallResult/Confirm" or "WixOAuth.Install.InstallResult/Connected" => ["200 page"],
            "WixOAuth.Install.InstallResult/UsedHere" => [_pages[InstallProblem.BadLink]],

            // A problem that is found out only while running may be any.
            "WixOAuth.Install.InstallResult/Stopped" => LastArgument() is { } problem ? [_pages[(InstallProblem)problem]] : _pages.Values,
            _ => [],
        };
    }

    /// <summary>The last argument of a constructor; null where it is not a constant.</summary>
    private static int? FindLastArgument(MethodDefinition method, Instruction constructor) =>
        method.Body.Instructions.Any(each => each.Operand == constructor) ? null : constructor.Previous switch
        {
            { OpCode.Code: >= Code.Ldc_I4_0 and <= Code.Ldc_I4_8 and var code } => code - Code.Ldc_I4_0,
            { Operand: sbyte number } => number,
            { Operand: int number } => number,
            _ => null,
        };

    private static Dictionary<string, string> Statuses(string heading) => Repository.Table(Document, heading).ToDictionary(row => row[1], row => row[0]);

    private static IEnumerable<string> Cell(string text) => text.Split(',').Select(each => each.Replace("`", "", StringComparison.Ordinal).Trim());

    private static IEnumerable<string> Errors(string text, Dictionary<string, string> problems, Dictionary<string, string> pages) => Cell(text).SelectMany(code =>
        code == "all pages" ? pages.Select(page => $"{page.Value} page {page.Key}")
        : code.Split(' ') is ["page", var outcome] ? [$"{pages[outcome]} page {outcome}"]
        : [$"{problems[code]} {code}"]);
}

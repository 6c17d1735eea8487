using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Http;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Settings;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Conventions;

/// <summary>docs/http-api.md and the code, each against the other.</summary>
public sealed partial class HttpApiTests
{
    private const string Document = "docs/http-api.md";

    private static readonly Type[] s_endpoints = [.. typeof(TokenEndpoints).Assembly.GetTypes().Where(type => type.Namespace == "WixOAuth.Http" && type.Name.Contains("Endpoint", StringComparison.Ordinal))];

    [Fact]
    public void Functions_have_the_documented_method_address_and_level_and_there_are_no_others() => AssertSame(
        Repository.Table(Document, "## Functions").Select(row => string.Join(' ', row)),
        Functions<HttpTriggerAttribute>().Select(function =>
            $"{function.Name} {string.Join(',', function.Trigger.Methods!).ToUpperInvariant()} /api/{function.Trigger.Route} {(function.Trigger.AuthLevel == AuthorizationLevel.Anonymous ? "no" : "yes")}"));

    [Fact]
    public void Timers_have_the_documented_schedule() => AssertSame(
        Repository.Table(Document, "## Timers").Select(row => $"{row[0]} %{row[1]}%"),
        Functions<TimerTriggerAttribute>().Select(function => $"{function.Name} {function.Trigger.Schedule}"));

    [Fact]
    public void Documented_parameters_match_those_that_the_endpoints_read()
    {
        // By the file: what a class reads, its functions have.
        var read =
            from type in s_endpoints
            let source = Repository.Read("WixOAuth", "Http", type.Name + ".cs")
            from name in Names().Matches(source).SelectMany(match => Quoted().Matches(match.Value)).Select(match => match.Groups[1].Value)
            select $"{type.Name} {name}";
        var documented = Repository.Table(Document, "## Parameters").Select(row => $"{s_endpoints.Single(type => type.GetMethod(row[0]) is not null).Name} {row[1]}");

        AssertSame(documented.Distinct(), read.Distinct());
    }

    [Fact]
    public void Bodies_have_the_documented_fields() => AssertSame(
        Repository.Table(Document, "## Bodies").Select(row => $"{row[0]}: {row[2].Replace("`", "", StringComparison.Ordinal)}"),
        typeof(ProblemBody).Assembly.GetTypes().Where(type => type.Namespace == "WixOAuth.Http" && type.Name.EndsWith("Body", StringComparison.Ordinal))
            .Select(type => $"{type.Name}: {string.Join(", ", type.GetProperties().Where(property => property.GetMethod!.IsPublic).Select(property => JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name)))}"));

    [Fact]
    public async Task Errors_are_the_documented_ones()
    {
        List<string> made = [];
        foreach (var method in typeof(Problems).GetMethods(BindingFlags.Public | BindingFlags.Static))
        {
            made.AddRange((await ExecuteAllAsync(method)).Select(answer => $"{answer.Status} {JsonDocument.Parse(answer.Body).RootElement.GetProperty("code").GetString()}"));
        }

        AssertSame(Repository.Table(Document, "## Errors").Select(row => $"{row[0]} {row[1]}"), made.Distinct());

        // Nothing else makes one.
        Assert.Equal(
            ["Problems.cs"],
            Repository.Sources("WixOAuth").Where(file => File.ReadAllText(file).Contains("new ProblemAnswer(", StringComparison.Ordinal)).Select(Path.GetFileName));
    }

    [Fact]
    public void Pages_are_the_documented_ones() => AssertSame(
        Repository.Table(Document, "## Pages").Select(row => $"{row[0]} {row[1]}"),
        Enum.GetValues<InstallProblem>().Select(problem => $"{InstallEndpoints.StatusOf(problem)} {SnakeCaseEnum.Of(problem)}"));

    [Fact]
    public void All_values_of_a_fixed_set_are_named()
    {
        var text = Repository.Read("docs", "http-api.md");
        var words = Enum.GetValues<InstanceStatus>().Select(SnakeCaseEnum.Of)
            .Concat(Enum.GetValues<Grant>().Select(SnakeCaseEnum.Of))
            .Concat(Enum.GetValues<TokenError>().Select(SnakeCaseEnum.Of))
            .Concat(Enum.GetNames<SetupCompletion>());
        Assert.All(words, word => Assert.Contains($"`{word}`", text, StringComparison.Ordinal));
    }

    [Fact]
    public void Settings_are_those_that_are_read_and_have_the_documented_defaults()
    {
        var rows = Repository.Table(Document, "## Settings");
        var ofTheLaptop = Repository.Sources("WixOAuth.Local").SelectMany(file => LocalNames().Matches(File.ReadAllText(file))).Select(match => $"{match.Groups[1].Value}__{match.Groups[2].Value}");
        AssertSame(rows.Select(row => row[0]), SettingNames.ReadByCode().Concat(SettingNames.Schedules()).Concat(ofTheLaptop).Distinct());

        var defaults = ServiceSettings.Read(new SettingRecorder([]));
        object[] options = [defaults.Wix, defaults.KeyVault, defaults.Tables, defaults.Backup, defaults.Tokens, defaults.Sweep, defaults.Events];
        var core = rows.Where(row => SettingNames.ReadByCode().Contains(row[0]) && row[1] != "required").ToList();
        AssertSame(core.Select(row => $"{row[0]}={row[1]}"), core.Select(row => $"{row[0]}={Default(options, row[0])}"));
        using var sample = JsonDocument.Parse(Repository.Read("local.settings.sample.json"));
        foreach (var row in rows.Where(row => row[1] is not ("required" or "") && sample.RootElement.GetProperty("Values").TryGetProperty(row[0], out var value) && value.GetString() is not ""))
        {
            Assert.Equal((row[0], row[1]), (row[0], sample.RootElement.GetProperty("Values").GetProperty(row[0]).GetString()));
        }
    }

    private static string Default(object[] options, string setting)
    {
        // "Sweep" and the setting that the Functions host reads have neither a section nor a default.
        if (setting.Split("__") is not [var section, var name])
        {
            return "";
        }

        var of = options.Single(each => each.GetType().Name == section + "Options");
        return of.GetType().GetProperty(name)?.GetValue(of) switch
        {
            null => "",
            bool flag => flag ? "true" : "false",
            Uri url => url.OriginalString,
            var value => string.Format(CultureInfo.InvariantCulture, "{0}", value),
        };
    }

    private static IEnumerable<(string Name, T Trigger)> Functions<T>()
        where T : Attribute =>
        from type in typeof(InstallFunctions).Assembly.GetTypes()
        from method in type.GetMethods()
        let name = method.GetCustomAttribute<FunctionAttribute>()?.Name
        let trigger = method.GetParameters().Select(parameter => parameter.GetCustomAttribute<T>()).SingleOrDefault(each => each is not null)
        where name is not null && trigger is not null
        select (name, trigger);

    /// <summary>The answers that a method of <see cref="Problems"/> makes.</summary>
    internal static async Task<IReadOnlyList<(int Status, string Body)>> ExecuteAllAsync(MethodInfo problem)
    {
        List<(int Status, string Body)> answers = [];
        foreach (var answer in Answers(problem))
        {
            answers.Add(await ExecuteAsync(answer));
        }

        return answers;
    }

    private static IEnumerable<IResult> Answers(MethodInfo method) =>
        method.GetParameters() is [{ ParameterType: var type }] && type == typeof(TokenResult)
            ? typeof(TokenResult).GetNestedTypes().Where(each => each.IsSubclassOf(typeof(TokenResult))).Select(each => (IResult)method.Invoke(null, [RuntimeHelpers.GetUninitializedObject(each)])!)
            : [(IResult)method.Invoke(null, [.. method.GetParameters().Select(parameter => parameter.ParameterType == typeof(string) ? (object)"title" : TimeSpan.FromSeconds(1))])!];

    internal static async Task<(int Status, string Body)> ExecuteAsync(IResult result)
    {
        var context = new DefaultHttpContext();
        using var body = new MemoryStream();
        context.Response.Body = body;
        await result.ExecuteAsync(context);
        return (context.Response.StatusCode, System.Text.Encoding.UTF8.GetString(body.ToArray()));
    }

    private static void AssertSame(IEnumerable<string> documented, IEnumerable<string> made) =>
        Assert.Equal(documented.Order(StringComparer.Ordinal), made.Order(StringComparer.Ordinal));

    [GeneratedRegex("""TryRead(?:All)?\(request, \[[^\]]*\]|request\.Query\["\w+"\]""")]
    private static partial Regex Names();

    [GeneratedRegex("\"(\\w+)\"")]
    private static partial Regex Quoted();

    [GeneratedRegex("\"(Functions|Local)(?:__|:)(\\w+)\"")]
    private static partial Regex LocalNames();
}

using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Mono.Cecil;
using WixOAuth.Cli;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Local;
using WixOAuth.PretendWix;

namespace WixOAuth.Functions.Tests.Conventions;

/// <summary>The shape of the code: folders without dependency cycles, files of a readable length, classes with one job.</summary>
public sealed class FolderTests
{
    private const int LongestFile = 300;
    private const int MostDependencies = 7;

    private static readonly string[] s_projects = ["WixOAuth", "WixOAuth.Functions", "WixOAuth.Local", "WixOAuth.PretendWix", "WixOAuth.Cli"];

    private static readonly Assembly[] s_assemblies =
        [typeof(ServiceRegistration).Assembly, typeof(Timers).Assembly, typeof(LocalHost).Assembly, typeof(PretendWixServer).Assembly, typeof(Deployment).Assembly];

    [Fact]
    public void The_folders_of_the_core_have_no_dependency_cycle()
    {
        var folders = DependenciesBetweenNamespaces(typeof(ServiceRegistration).Assembly, "WixOAuth.");

        Assert.InRange(folders.Count, 10, 40);
        Assert.Contains("WixOAuth.Wix", folders["WixOAuth.Tokens"]);
        Assert.Empty(FindCycles(folders));
    }

    // Shows that the test above can fail: each sample uses the other in one place only, one of them in the body of a lambda.
    [Fact]
    public void A_dependency_cycle_is_found()
    {
        var folders = DependenciesBetweenNamespaces(typeof(FolderTests).Assembly, "WixOAuth.Functions.Tests.Conventions.Samples.");

        Assert.Equal(["One -> Two -> One", "Two -> One -> Two"], FindCycles(folders).Select(cycle => cycle.Replace("WixOAuth.Functions.Tests.Conventions.Samples.", "", StringComparison.Ordinal)));
    }

    [Fact]
    public void Every_namespace_is_its_folder()
    {
        var files = Repository.Sources("WixOAuth").ToList();

        Assert.NotEmpty(files);
        Assert.All(files, file => Assert.Contains(
            $"\nnamespace {Path.GetRelativePath(Repository.Root, Path.GetDirectoryName(file)!).Replace(Path.DirectorySeparatorChar, '.')};", "\n" + File.ReadAllText(file), StringComparison.Ordinal));
    }

    [Fact]
    public void No_file_is_longer_than_300_lines()
    {
        var lengths = s_projects.SelectMany(Repository.Sources).Select(file => (Name: Path.GetRelativePath(Repository.Root, file), Lines: File.ReadLines(file).Count())).ToList();

        Assert.Contains(lengths, file => file.Lines > LongestFile / 2);
        Assert.DoesNotContain(lengths, file => file.Lines > LongestFile);
    }

    [Fact]
    public void A_class_with_more_than_seven_dependencies_says_why()
    {
        var sources = s_projects.SelectMany(Repository.Sources).Select(File.ReadAllText).ToList();
        var large = s_assemblies.SelectMany(assembly => assembly.GetTypes()).Where(HasTooManyDependencies).Select(type => type.Name).ToList();

        Assert.NotEmpty(large);
        Assert.All(large, name => Assert.Contains(sources, source => Constructor(name).Match(source) is { Success: true } found && found.Value.Contains("//", StringComparison.Ordinal)));
    }

    // Records are data, not classes with a job.
    private static bool HasTooManyDependencies(Type type) =>
        type.GetMethod("<Clone>$") is null
        && !type.IsDefined(typeof(CompilerGeneratedAttribute))
        && type.GetConstructors(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic).Any(constructor => constructor.GetParameters().Length > MostDependencies);

    /// <summary>The constructor of a class, or its primary constructor, up to the end of its parameters.</summary>
    private static Regex Constructor(string name) => new($@"(class {name}|(public|internal|private) {name})\((?:[^()]|\([^()]*\))*?\)\s*[:{{;=]");

    /// <summary>Each namespace below a prefix, and the others of them that its types use, in method bodies too.</summary>
    private static Dictionary<string, HashSet<string>> DependenciesBetweenNamespaces(Assembly assembly, string prefix)
    {
        using var module = ModuleDefinition.ReadModule(assembly.Location);
        var used = new Dictionary<string, HashSet<string>>(StringComparer.Ordinal);
        foreach (var type in module.GetTypes())
        {
            var from = NamespaceOf(type);
            if (from.StartsWith(prefix, StringComparison.Ordinal))
            {
                var to = ReferencesOf(type).SelectMany(Parts).Where(part => part.Scope == module).Select(NamespaceOf).Where(name => name != from && name.StartsWith(prefix, StringComparison.Ordinal));
                (used.TryGetValue(from, out var known) ? known : used[from] = new(StringComparer.Ordinal)).UnionWith(to);
            }
        }

        return used;
    }

    /// <summary>For each namespace that depends on itself by way of others, the shortest way.</summary>
    private static IEnumerable<string> FindCycles(Dictionary<string, HashSet<string>> used)
    {
        foreach (var start in used.Keys.Order(StringComparer.Ordinal))
        {
            var ways = new Queue<string[]>([[start]]);
            var seen = new HashSet<string>(StringComparer.Ordinal);
            while (ways.TryDequeue(out var way))
            {
                foreach (var next in used.GetValueOrDefault(way[^1], []))
                {
                    if (next == start)
                    {
                        yield return string.Join(" -> ", [.. way, start]);
                        ways.Clear();
                        break;
                    }

                    if (seen.Add(next))
                    {
                        ways.Enqueue([.. way, next]);
                    }
                }
            }
        }
    }

    private static IEnumerable<TypeReference?> ReferencesOf(TypeDefinition type) =>
    [
        type.BaseType,
        .. type.Interfaces.Select(each => each.InterfaceType),
        .. type.GenericParameters.SelectMany(parameter => parameter.Constraints).Select(each => each.ConstraintType),
        .. type.Fields.Select(field => field.FieldType),
        .. type.CustomAttributes.Select(attribute => attribute.AttributeType),
        .. type.Methods.SelectMany(method => SignatureOf(method).Concat(BodyOf(method))),
    ];

    private static IEnumerable<TypeReference?> SignatureOf(MethodReference method) =>
    [
        method.DeclaringType,
        method.ReturnType,
        .. method.Parameters.Select(parameter => parameter.ParameterType),
        .. (method as GenericInstanceMethod)?.GenericArguments ?? [],
    ];

    private static IEnumerable<TypeReference?> BodyOf(MethodDefinition method) => !method.HasBody ? [] :
    [
        .. method.Body.Variables.Select(variable => variable.VariableType),
        .. method.Body.ExceptionHandlers.Select(handler => handler.CatchType),
        .. method.Body.Instructions.SelectMany(instruction => instruction.Operand switch
        {
            TypeReference used => [used],
            FieldReference used => [used.DeclaringType, used.FieldType],
            MethodReference used => SignatureOf(used),
            _ => Enumerable.Empty<TypeReference?>(),
        }),
    ];

    /// <summary>The types that a reference names: a generic type and its arguments, the element of an array.</summary>
    private static IEnumerable<TypeReference> Parts(TypeReference? type) => type switch
    {
        null => [],
        GenericInstanceType generic => [.. Parts(generic.ElementType), .. generic.GenericArguments.SelectMany(Parts)],
        TypeSpecification specification => Parts(specification.ElementType),
        _ => [type],
    };

    private static string NamespaceOf(TypeReference type)
    {
        while (type.DeclaringType is { } outer)
        {
            type = outer;
        }

        return type.Namespace;
    }
}

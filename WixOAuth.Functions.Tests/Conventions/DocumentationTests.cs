using System.Reflection;
using System.Runtime.CompilerServices;
using System.Xml.Linq;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Install;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Conventions;

/// <summary>Whatever others can use of the core says what it is.</summary>
public sealed class DocumentationTests
{
    private static readonly Assembly s_core = typeof(ServiceRegistration).Assembly;

    private static readonly Dictionary<string, XElement> s_documentation =
        XDocument.Load(Path.ChangeExtension(s_core.Location, ".xml")).Descendants("member").ToDictionary(member => member.Attribute("name")!.Value);

    [Fact]
    public void Every_public_member_of_the_core_is_documented()
    {
        var members = s_core.GetExportedTypes().SelectMany(type => DocumentedMembers(type).Append(NameOf(type))).Distinct().ToList();

        Assert.InRange(members.Count, 2, 100);
        Assert.DoesNotContain(members, member => !IsDocumented(member));
    }

    // Shows that the test above can fail.
    [Fact]
    public void An_undocumented_member_is_found()
    {
        Assert.False(IsDocumented("M:WixOAuth.Install.InstallFlow.Nothing"));
        Assert.Contains("P:WixOAuth.Instances.Instance.Generation", DocumentedMembers(typeof(Instance)));
        Assert.Contains("M:WixOAuth.Install.InstallStart.BeginAsync", DocumentedMembers(typeof(InstallStart)));
        Assert.Contains("F:WixOAuth.Install.InstallProblem.BadLink", DocumentedMembers(typeof(InstallProblem)));
    }

    [Fact]
    public void The_compilers_own_check_is_on() =>
        Assert.DoesNotContain("1591", Repository.Read("WixOAuth", "WixOAuth.csproj") + Repository.Read("Directory.Build.props") + Repository.Read(".editorconfig"), StringComparison.Ordinal);

    // Methods by name: overloads are not distinguished.
    private static IEnumerable<string> DocumentedMembers(Type type) => type
        .GetMembers(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly)
        .Where(member => !member.IsDefined(typeof(CompilerGeneratedAttribute)) && !member.Name.StartsWith('<') && !type.IsSubclassOf(typeof(Delegate)))
        .Select(member => member switch
        {
            FieldInfo { IsSpecialName: false } field when field.IsPublic || field.IsFamily => $"F:{Name(type)}.{field.Name}",
            PropertyInfo property when property.GetMethod is { } get && (get.IsPublic || get.IsFamily) => $"P:{Name(type)}.{property.Name}",
            MethodInfo { IsSpecialName: false } method when method.IsPublic || method.IsFamily => $"M:{Name(type)}.{method.Name}",
            _ => null,
        })
        .OfType<string>();

    private static bool IsDocumented(string member) => s_documentation.Any(pair =>
        (pair.Key == member || pair.Key.StartsWith(member + "(", StringComparison.Ordinal) || pair.Key.StartsWith(member + "``", StringComparison.Ordinal))
        && (pair.Value.Element("inheritdoc") is not null || !string.IsNullOrWhiteSpace(pair.Value.Element("summary")?.Value) || pair.Value.Element("summary")?.HasElements == true));

    private static string NameOf(Type type) => $"T:{Name(type)}";

    private static string Name(Type type) => type.FullName!.Replace('+', '.');
}

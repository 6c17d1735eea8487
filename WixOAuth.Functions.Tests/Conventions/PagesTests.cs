using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using Mono.Cecil;
using Mono.Cecil.Cil;
using RazorSlices;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Pages;
using WixOAuth.PretendWix;

namespace WixOAuth.Functions.Tests.Conventions;

/// <summary>Markup is in .cshtml files only, and writes each value encoded: read from the compiled code.</summary>
public sealed partial class PagesTests
{
    private const string Slice = "RazorSlices.RazorSlice";

    // WriteHtml writes anything as it is, and WriteNumber and its like do so when told to.
    private static readonly string[] s_encoding =
        [".ctor", "get_Model", "set_Model", "WriteLiteral", "Write", "BeginWriteAttribute", "WriteAttributeValue", "EndWriteAttribute", "RenderPartialAsync"];

    public static TheoryData<string> Projects => ["WixOAuth", "WixOAuth.PretendWix"];

    // The folder graph sees a page only if its class is in the folder's namespace.
    [Theory]
    [MemberData(nameof(Projects))]
    public void Every_markup_file_is_an_internal_class_in_the_namespace_of_its_folder(string project)
    {
        var files = MarkupFiles(project).Select(file => $"{project}.Pages.Pages_{Path.GetFileNameWithoutExtension(file)}").ToList();

        Assert.NotEmpty(files);
        Assert.Equal(files.Order(StringComparer.Ordinal), AssemblyOf(project).GetTypes().Where(type => type.IsSubclassOf(typeof(RazorSlice)) && type.IsNotPublic).Select(type => type.FullName!).Order(StringComparer.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Projects))]
    public void No_code_composes_markup(string project)
    {
        using var module = ModuleDefinition.ReadModule(AssemblyOf(project).Location);

        Assert.DoesNotContain(TextsIn(module, isSlice: false), Tag().IsMatch);

        // Shows that the check above can fail.
        Assert.Contains(TextsIn(module, isSlice: true), Tag().IsMatch);
    }

    // A slice writes its markup by WriteLiteral and values by Write, which encodes all but HTML content.
    [Theory]
    [MemberData(nameof(Projects))]
    public void Nothing_is_written_unencoded_but_style_sheets_and_scripts(string project)
    {
        using var module = ModuleDefinition.ReadModule(AssemblyOf(project).Location);
        var calls = CallsIn(module).ToList();

        Assert.Equal([$"{project}.Pages.Asset"], calls.Where(call => call.Called.DeclaringType.Namespace == "Microsoft.AspNetCore.Html").Select(call => call.Type.FullName).Distinct());
        Assert.DoesNotContain(module.GetTypes(), type => type.Interfaces.Any(each => each.InterfaceType.Name == "IHtmlContent"));

        var written = calls.Where(call => IsSlice(call.Type) && call.Called.DeclaringType.Scope.Name == "RazorSlices").ToList();
        Assert.All(written, call => Assert.Contains(call.Called.Name, s_encoding));
        var literals = written.Where(call => call.Called.Name == "WriteLiteral").ToList();
        Assert.NotEmpty(literals);
        Assert.All(literals, call => Assert.True(IsConstant(call.Instruction.Previous), call.Type.FullName));
    }

    [Theory]
    [MemberData(nameof(Projects))]
    public void No_markup_file_is_longer_than_100_lines_or_has_code_of_its_own(string project) => Assert.All(MarkupFiles(project), file =>
    {
        var lines = File.ReadAllLines(file);
        Assert.InRange(lines.Length, 1, 100);
        Assert.DoesNotContain(lines, line => line.Contains("@functions", StringComparison.Ordinal) || line.Contains("@{", StringComparison.Ordinal) || line.Contains("@inject", StringComparison.Ordinal));
    });

    private static Assembly AssemblyOf(string project) => project == "WixOAuth" ? typeof(Page).Assembly : typeof(PretendWixServer).Assembly;

    private static IEnumerable<string> MarkupFiles(string project) =>
        Directory.EnumerateFiles(Path.Combine(Repository.Root, project, "Pages"), "*.cshtml");

    private static IEnumerable<string> TextsIn(ModuleDefinition module, bool isSlice) =>
        from type in module.GetTypes()
        where IsSlice(Outermost(type)) == isSlice
        from method in type.Methods
        where method.HasBody
        from instruction in method.Body.Instructions
        from text in TextsOf(instruction)
        select text;

    private static IEnumerable<string> TextsOf(Instruction instruction) => instruction.Operand switch
    {
        string text => [text],
        FieldDefinition { InitialValue: { Length: > 0 } bytes } => [Encoding.UTF8.GetString(bytes)],
        _ => [],
    };

    private static IEnumerable<(TypeDefinition Type, Instruction Instruction, MethodReference Called)> CallsIn(ModuleDefinition module) =>
        from type in module.GetTypes()
        from method in type.Methods
        where method.HasBody
        from instruction in method.Body.Instructions
        where instruction.Operand is MethodReference
        select (Outermost(type), instruction, (MethodReference)instruction.Operand);

    // A string literal, or the bytes of a UTF-8 literal.
    private static bool IsConstant(Instruction argument) =>
        argument.OpCode.Code == Code.Ldstr
        || (argument is { OpCode.Code: Code.Newobj, Operand: MethodReference { Parameters.Count: 2 } span }
            && span.DeclaringType.FullName == "System.ReadOnlySpan`1<System.Byte>"
            && span.Parameters[0].ParameterType.IsPointer);

    private static bool IsSlice(TypeDefinition type) => type.BaseType?.GetElementType().FullName.StartsWith(Slice, StringComparison.Ordinal) == true;

    private static TypeDefinition Outermost(TypeDefinition type) => type.DeclaringType is { } outer ? Outermost(outer) : type;

    [GeneratedRegex("</?[A-Za-z!]")]
    private static partial Regex Tag();
}

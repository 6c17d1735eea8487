using System.Reflection;
using Mono.Cecil;

namespace WixOAuth.Functions.Tests.Conventions;

/// <summary>What compiled methods may call: read from their code, lambdas and asynchronous methods included.</summary>
internal sealed class CallGraph : IDisposable
{
    private readonly ModuleDefinition _module;
    private readonly string[] _namespaces;

    /// <summary>Reads an assembly.</summary>
    /// <param name="assembly">The assembly.</param>
    /// <param name="namespaces">Calls of methods elsewhere are not followed.</param>
    public CallGraph(Assembly assembly, params string[] namespaces) => (_module, _namespaces) = (ModuleDefinition.ReadModule(assembly.Location), namespaces);

    /// <summary>All methods with code.</summary>
    public IEnumerable<MethodDefinition> Methods => _module.GetTypes().SelectMany(type => type.Methods).Where(method => method.HasBody);

    /// <summary>A method and all that it may call, directly or not.</summary>
    /// <param name="type">The full name of its type.</param>
    /// <param name="method">Its name.</param>
    /// <param name="isLeaf">What is not followed.</param>
    public HashSet<MethodDefinition> Reachable(string type, string method, Func<MethodDefinition, bool> isLeaf)
    {
        HashSet<MethodDefinition> reached = [];
        var next = new Stack<MethodDefinition>(_module.GetType(type).Methods.Where(each => each.Name == method));
        Assert.NotEmpty(next);
        while (next.TryPop(out var one))
        {
            if (!one.HasBody || isLeaf(one) || !reached.Add(one))
            {
                continue;
            }

            foreach (var called in CalledBy(one).Where(called => IsFollowed(called.DeclaringType)))
            {
                next.Push(called);
            }
        }

        return reached;
    }

    public void Dispose() => _module.Dispose();

    private IEnumerable<MethodDefinition> CalledBy(MethodDefinition method)
    {
        // The code of an asynchronous method is that of its state machine.
        var machine = method.CustomAttributes.SingleOrDefault(attribute => attribute.AttributeType.Name == "AsyncStateMachineAttribute");
        var moves = ((TypeReference?)machine?.ConstructorArguments[0].Value)?.Resolve().Methods.Where(each => each.Name == "MoveNext") ?? [];
        return method.Body.Instructions.Select(each => each.Operand).OfType<MethodReference>()
            .Where(called => called.DeclaringType.GetElementType().Scope == _module)
            .Select(called => called.Resolve())
            .OfType<MethodDefinition>()
            .Concat(moves);
    }

    private bool IsFollowed(TypeDefinition type)
    {
        while (type.DeclaringType is not null)
        {
            type = type.DeclaringType;
        }

        return _namespaces.Contains(type.Namespace);
    }
}

using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;

namespace WixOAuth.EmptyFunction;

public sealed class EmptyFunctions
{
    [Function(nameof(Empty))]
    public IResult Empty([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "empty")] HttpRequest request) => Results.Text("Hello World!");

    /// <summary>Shows what the worker answers for a function that throws. WixOAuth.Local does the same.</summary>
    [Function(nameof(Throws))]
    public IResult Throws([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "throws")] HttpRequest request) =>
        throw new InvalidOperationException("thrown on purpose");
}

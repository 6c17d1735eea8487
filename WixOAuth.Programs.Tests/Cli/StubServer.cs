using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Functions.Tests.EndToEnd;

namespace WixOAuth.Programs.Tests.Cli;

/// <summary>A server on a free port of this machine that answers every request as a test says.</summary>
internal static class StubServer
{
    public static WebApplication Create(RequestDelegate answer)
    {
        var app = Create();
        app.Run(answer);
        return app;
    }

    /// <summary>One that answers nothing yet.</summary>
    public static WebApplication Create()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        return builder.Build();
    }

    /// <summary>What the service answers to the empty instance id; a command knows the service by it.</summary>
    public static IResult InvalidId() => Results.Problem(statusCode: 400, extensions: new Dictionary<string, object?> { ["code"] = "invalid_request" });

    /// <summary>The connection string of a started server that stands for a table service.</summary>
    public static string TablesOf(WebApplication server) =>
        $"AccountName=devstoreaccount1;AccountKey={TestBed.ProtectionKey};TableEndpoint={server.Urls.Single()}/devstoreaccount1";
}

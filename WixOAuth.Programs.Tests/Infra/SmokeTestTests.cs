using System.Diagnostics;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Programs.Tests.Infra;

/// <summary>The deployment's last step, against servers that are well and servers that are not.</summary>
public sealed class SmokeTestTests
{
    private const string Healthy = """{"status":"healthy","storage":"healthy","secrets":"healthy","degraded":[]}""";
    private static readonly string s_overdue = Healthy.Replace("[]", "[\"sweep_overdue\"]", StringComparison.Ordinal);

    [SkippableFact]
    public async Task A_deployment_that_is_well_passes()
    {
        var (exitCode, output) = await RunAsync(new(Healthy));

        Assert.True(exitCode == 0, output);
        Assert.Contains("ok: a sweep ran after the deployment", output, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task A_key_without_a_bearer_token_has_to_be_refused_where_Entra_ID_stands_in_front()
    {
        var refused = await RunAsync(new(Healthy), ("ENTRA_CLIENT_ID", "client"), ("FUNCTION_KEY", "key"));
        var let = await RunAsync(new(Healthy, TakesTheKey: true), ("ENTRA_CLIENT_ID", "client"), ("FUNCTION_KEY", "key"));

        Assert.True(refused.ExitCode == 0, refused.Output);
        Assert.Equal(1, let.ExitCode);
        Assert.Contains("a key but no bearer token", let.Output, StringComparison.Ordinal);
    }

    public static TheoryData<string> Troubles => ["unhealthy", "no sweep", "no word about the sweep", "open to all", "long redirect cut off", "a page of the platform's"];

    [SkippableTheory]
    [MemberData(nameof(Troubles))]
    public async Task A_deployment_that_is_not_well_fails(string trouble)
    {
        var (exitCode, output) = await RunAsync(trouble switch
        {
            "unhealthy" => new(Healthy, HealthStatus: 503),
            "no sweep" => new(s_overdue),
            "no word about the sweep" => new("""{"status":"healthy","storage":"healthy","secrets":"healthy"}"""),
            "open to all" => new(Healthy, IsOpen: true),
            "long redirect cut off" => new(Healthy, RedirectStatus: 414),
            _ => new Answers(Healthy, IsOurPage: false),
        });

        Assert.Equal(1, exitCode);
        Assert.Contains("FAILED: ", output, StringComparison.Ordinal);
    }

    private static async Task<(int ExitCode, string Output)> RunAsync(Answers answers, params (string Name, string Value)[] environment)
    {
        Skip.If(OperatingSystem.IsWindows(), "The smoke test is a shell script.");
        await using var server = Serve(answers);
        await server.StartAsync();
        var start = new ProcessStartInfo("sh", [Path.Combine(Bicep.Folder, "smoke-test.sh"), server.Urls.Single()])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in environment.Concat([("WAIT", "0"), ("TRIES", "2"), ("SWEEP_AFTER", "0")]))
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, output + await error);
    }

    private static WebApplication Serve(Answers answers)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        var app = builder.Build();
        app.MapGet("/api/health", () => Results.Text(answers.Health, "application/json", statusCode: answers.HealthStatus));
        app.MapGet("/api/redirect", (HttpContext context, string code) =>
        {
            Assert.Equal(7_500, code.Length);
            if (answers.IsOurPage)
            {
                context.Response.Headers.ContentSecurityPolicy = "default-src 'none'";
            }

            return Results.Text("<html></html>", "text/html", statusCode: answers.RedirectStatus);
        });
        app.MapGet("/api/instances", (HttpContext context) =>
            Results.StatusCode(answers.IsOpen || (answers.TakesTheKey && context.Request.Headers["x-functions-key"] == "key") ? 200 : 401));
        return app;
    }

    private sealed record Answers(
        string Health, int HealthStatus = 200, int RedirectStatus = 400, bool IsOurPage = true, bool IsOpen = false, bool TakesTheKey = false);
}

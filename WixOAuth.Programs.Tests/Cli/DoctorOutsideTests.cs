using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Time.Testing;

namespace WixOAuth.Programs.Tests.Cli;

/// <summary>What the doctor says of deployments that are not well, as seen from outside. Each line ends with what to do.</summary>
public sealed class DoctorOutsideTests
{
    private const string Healthy = """{"status":"healthy","storage":"healthy","secrets":"healthy","degraded":[]}""";

    public static TheoryData<string, string> Troubles => new()
    {
        { "App URL answers 503", "FAILED  App URL: * and is it running?" },
        { "redirect on another host", "FAILED  App URL: its Redirect URL is on the host elsewhere.example.com, *: put both on one host (Wix__RedirectUrl, *" },
        { "no opener policy", "FAILED  App URL: the header Cross-Origin-Opener-Policy: unsafe-none is missing: let no proxy change it, *" },
        { "HEAD answers 405", "warning HEAD: the App URL answers HEAD with 405: *update the service, or let HEAD through the proxy" },
        { "a sign-in stands before the redirect", "FAILED  Redirect URL: it answers 401 without the service's headers: *let /api/redirect through" },
        { "long codes are cut off", "FAILED  long codes: a redirect with a code of 7,500 characters is answered 414 on the way: raise the limit *" },
        { "secrets are unhealthy", "FAILED  health: secrets unhealthy: see the runbook, *" },
        { "degraded", "warning health: degraded: sweep_overdue, backup_overdue; each word is explained in the runbook" },
        { "health is a page", "FAILED  health: the answer is not the service's: *let /api/health through" },
        { "health is of another service", "FAILED  health: the answer is not the service's: *let /api/health through" },
        { "health is a list", "FAILED  health: the answer is not the service's: *let /api/health through" },
        { "the clock is off", "FAILED  clock: the service's clock is 3600 s away from Wix's: set it by NTP; *" },
    };

    [Fact]
    public async Task A_healthy_deployment_needs_no_action()
    {
        var run = await RunAsync("");

        Assert.Equal(0, run.ExitCode);
        Assert.Equal(["https", "App URL", "HEAD", "Redirect URL", "long codes", "health", "clock"], run.Out.TrimEnd().Split('\n').Select(line => line[8..].Split(':')[0]));
        Assert.DoesNotContain("FAILED", run.Out, StringComparison.Ordinal);

        // The test uses http on the loopback address.
        Assert.Single(run.Out.Split('\n'), line => line.StartsWith("warning", StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Troubles))]
    public async Task A_failure_is_one_line_that_says_what_to_do(string trouble, string line)
    {
        var run = await RunAsync(trouble);

        var pattern = "^" + System.Text.RegularExpressions.Regex.Escape(line).Replace("\\*", ".+", StringComparison.Ordinal) + "$";
        Assert.Contains(run.Out.TrimEnd().Split('\n'), each => System.Text.RegularExpressions.Regex.IsMatch(each.TrimEnd(), pattern));
        Assert.Equal(line.StartsWith("FAILED", StringComparison.Ordinal) ? 1 : 0, run.ExitCode);
    }

    [Fact]
    public async Task A_deployment_that_is_not_there_is_said_to_be_so_in_every_line()
    {
        var run = await CliRun.RunAsync(new Dictionary<string, string?>(), "doctor", "--outside", "--url", $"https://127.0.0.1:{FreePort.Next()}");

        Assert.Equal(1, run.ExitCode);
        Assert.Equal(5, run.Out.Split('\n').Count(line => line.EndsWith("check the address, DNS and the certificate", StringComparison.Ordinal) && !line.Contains("clock", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Plain_http_to_a_public_address_is_refused()
    {
        var run = await CliRun.RunAsync(new Dictionary<string, string?>(), "doctor", "--outside", "--url", "http://wixoauth.invalid", "--json");

        Assert.StartsWith("""{"check":"https","verdict":"failed","message":"give Wix https addresses only""", run.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_service_that_is_slow_has_no_wrong_clock()
    {
        var run = await RunAsync("a minute passes");

        Assert.Contains("ok      clock: the service's clock is within 30 s of Wix's", run.Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--url", "localhost:7071")]
    [InlineData("--url", "www.example.com")]
    [InlineData("--url", "file:///tmp")]
    [InlineData("--bridge", "--sample", "0")]
    public async Task Wrong_use_is_a_message(params string[] args)
    {
        var run = await CliRun.RunAsync(new Dictionary<string, string?>(), ["doctor", "--outside", .. args]);

        Assert.Equal(2, run.ExitCode);
        Assert.Contains(args is ["--url", ..] ? "--url: https://" : "--sample should be at least 1", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_address_in_the_settings_without_its_scheme_is_no_crash()
    {
        var url = $"https://127.0.0.1:{FreePort.Next()}";

        Assert.Equal(2, (await CliRun.RunAsync(new Dictionary<string, string?> { ["Wix__RedirectUrl"] = "localhost:7071/api/redirect" }, "doctor", "--outside")).ExitCode);
        var run = await CliRun.RunAsync(new Dictionary<string, string?> { ["Wix__ApiUrl"] = "127.0.0.1" }, "doctor", "--url", url);
        Assert.Equal(1, run.ExitCode);
        Assert.Contains("FAILED  settings: Wix__ApiUrl should be an absolute https URL", run.Out, StringComparison.Ordinal);
    }

    private static async Task<CliRun> RunAsync(string trouble)
    {
        var clock = new FakeTimeProvider(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));
        await using var server = Serve(trouble, clock);
        await server.StartAsync();
        var url = server.Urls.Single();
        return await CliRun.RunAsync(clock, new Dictionary<string, string?> { ["Wix__ApiUrl"] = url }, "doctor", "--outside", "--url", url);
    }

    private static WebApplication Serve(string trouble, FakeTimeProvider clock)
    {
        var app = StubServer.Create();
        app.MapMethods("/api/install", ["GET", "HEAD"], context => AnswerAppUrl(context, trouble, clock));
        app.MapGet("/api/redirect", context => AnswerRedirect(context, trouble));
        app.MapGet("/api/health", () => trouble switch
        {
            "secrets are unhealthy" => Results.Text(Healthy.Replace("\"secrets\":\"healthy\"", "\"secrets\":\"unhealthy\"", StringComparison.Ordinal), "application/json", statusCode: 503),
            "degraded" => Results.Text(Healthy.Replace("[]", "[\"sweep_overdue\",\"backup_overdue\"]", StringComparison.Ordinal), "application/json"),
            "health is of another service" => Results.Text("{\"status\":\"ok\"}", "application/json"),
            "health is a list" => Results.Text("[]", "application/json"),
            "health is a page" => Results.Text("<html></html>", "text/html"),
            _ => Results.Text(Healthy, "application/json"),
        });

        // Wix itself.
        app.MapMethods("/", ["HEAD"], context =>
        {
            clock.Advance(trouble == "a minute passes" ? TimeSpan.FromMinutes(1) : TimeSpan.Zero);
            var off = trouble == "the clock is off" ? TimeSpan.FromHours(1) : TimeSpan.Zero;
            context.Response.Headers.Date = (clock.GetUtcNow() + off).ToString("R", CultureInfo.InvariantCulture);
            return Task.CompletedTask;
        });
        return app;
    }

    private static Task AnswerAppUrl(HttpContext context, string trouble, FakeTimeProvider clock)
    {
        context.Response.Headers.Date = clock.GetUtcNow().ToString("R", CultureInfo.InvariantCulture);
        var host = trouble == "redirect on another host" ? "elsewhere.example.com" : context.Request.Host.Value;
        if (trouble != "no opener policy")
        {
            context.Response.Headers["Cross-Origin-Opener-Policy"] = "unsafe-none";
        }

        context.Response.Headers.Location = $"https://www.wix.com/installer/install?redirectUrl={Uri.EscapeDataString($"https://{host}/api/redirect")}";
        context.Response.StatusCode = trouble == "App URL answers 503" ? 503 : trouble == "HEAD answers 405" && HttpMethods.IsHead(context.Request.Method) ? 405 : 302;
        return Task.CompletedTask;
    }

    private static Task AnswerRedirect(HttpContext context, string trouble)
    {
        var isLong = context.Request.Query["code"].ToString().Length == 7_500;
        if (trouble == "a sign-in stands before the redirect" && !isLong)
        {
            context.Response.StatusCode = 401;
            return Task.CompletedTask;
        }

        context.Response.Headers["Cross-Origin-Opener-Policy"] = "unsafe-none";
        context.Response.StatusCode = trouble == "long codes are cut off" && isLong ? 414 : 400;
        return Task.CompletedTask;
    }
}

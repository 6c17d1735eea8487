using Azure;
using Azure.Identity;
using Microsoft.AspNetCore.Http;
using WixOAuth.Cli;
using WixOAuth.Functions.Tests.EndToEnd;
using WixOAuth.Instances;

namespace WixOAuth.Programs.Tests.Cli;

/// <summary>Every failure is a line and an exit code.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class CommandLineTests(AzuriteFixture azurite)
{
    [Fact]
    public async Task Whatever_fails_after_Ctrl_C_is_a_stop()
    {
        using var stop = new CancellationTokenSource();
        using var output = new StoppingWriter(stop);
        using var error = new StringWriter();

        var exitCode = await CommandLine.RunAsync(
            ["doctor", "--outside", "--url", $"http://127.0.0.1:{FreePort.Next()}"], CliRun.Environment(new Dictionary<string, string?>(), output, error), stop.Token);

        Assert.Equal(1, exitCode);
        Assert.EndsWith("Stopped.", error.ToString().TrimEnd(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_row_that_cannot_be_copied_is_a_message()
    {
        await using var table = StubServer.Create(context =>
        {
            context.Response.Headers["x-ms-request-id"] = $"{Guid.NewGuid()}";
            context.Response.Headers["x-ms-version"] = "2019-02-02";
            context.Response.ContentType = "application/json;odata=minimalmetadata";
            return context.Response.WriteAsync("""{"value":[{"PartitionKey":"00","RowKey":"x|row","Timestamp":"2026-01-01T00:00:00Z","Odd":{}}]}""");
        });
        await table.StartAsync();

        var run = await CliRun.RunAsync(Settings(StubServer.TablesOf(table)), "backup");

        Assert.Equal(1, run.ExitCode);
        Assert.Contains("'Odd'", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_missing_role_is_named()
    {
        await using var table = StubServer.Create(context =>
        {
            context.Response.StatusCode = 403;
            context.Response.Headers["x-ms-request-id"] = $"{Guid.NewGuid()}";
            return Task.CompletedTask;
        });
        await table.StartAsync();

        var run = await CliRun.RunAsync(Settings(StubServer.TablesOf(table)), "backup");

        Assert.Equal(1, run.ExitCode);
        Assert.Contains("refused with 403", run.Error, StringComparison.Ordinal);
        Assert.Contains("Storage Table Data Contributor", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_sign_in_is_said_and_another_failure_is_not_taken_for_one()
    {
        Assert.Equal(" Sign in first: az login.", AccessHint.Of(new StorageUnavailableException("", new AggregateException(new CredentialUnavailableException("none")))));
        Assert.Equal("", AccessHint.Of(new StorageUnavailableException("", new RequestFailedException(404, "not there"))));
    }

    private Dictionary<string, string?> Settings(string tables)
    {
        var copies = azurite.NewContainer();
        return new Dictionary<string, string?>
        {
            ["Tables__ConnectionString"] = tables,
            ["Backup__ConnectionString"] = copies.ConnectionString!.Reveal(),
            ["Backup__Container"] = copies.Container,
            ["Tokens__ProtectionKey"] = TestBed.ProtectionKey,
        };
    }

    /// <summary>The end of a pipe whose reader is gone.</summary>
    private sealed class StoppingWriter(CancellationTokenSource stop) : StringWriter
    {
        public override void WriteLine(string? value)
        {
            stop.Cancel();
            throw new InvalidOperationException("gone");
        }
    }
}

using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace WixOAuth.Functions.Tests.Worker;

/// <summary>A Function App as a separate process, started as the Functions host starts it. It is killed with this object.</summary>
internal sealed partial class WorkerProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Task _reading;

    private WorkerProcess(Process process, Action<string> output, Action<string> error)
    {
        _process = process;
        _reading = Task.WhenAll(ReadAsync(process.StandardOutput, output), ReadAsync(process.StandardError, error));
    }

    /// <summary>Completes with the exit code when the process has ended and all its output has been read.</summary>
    public Task<int> Ended => EndedAsync();

    /// <summary>Starts it; it connects to <paramref name="host"/> by gRPC.</summary>
    /// <param name="assembly">The path of the Function App's assembly.</param>
    /// <param name="host">Where the host listens.</param>
    /// <param name="settings">Its settings by their names. Those of this process's environment are not passed on.</param>
    /// <param name="output">Called with each line of standard output.</param>
    /// <param name="error">Called with each line of standard error.</param>
    public static WorkerProcess Start(
        string assembly, Uri host, IReadOnlyDictionary<string, string?> settings, Action<string> output, Action<string> error)
    {
        var folder = Path.GetDirectoryName(assembly)!;
        var start = new ProcessStartInfo(
            "dotnet",
            [
                assembly, "--functions-uri", host.ToString(), "--functions-worker-id", "the-worker", "--functions-request-id", "the-request",
                "--functions-grpc-max-message-length", int.MaxValue.ToString(CultureInfo.InvariantCulture),
            ])
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var name in start.Environment.Keys.Where(name => Setting().IsMatch(name)).ToList())
        {
            start.Environment.Remove(name);
        }

        start.Environment["FUNCTIONS_WORKER_DIRECTORY"] = folder;
        start.Environment["FUNCTIONS_APPLICATION_DIRECTORY"] = folder;
        foreach (var (name, value) in settings)
        {
            start.Environment[name] = value;
        }

        return new WorkerProcess(Process.Start(start)!, output, error);
    }

    /// <summary>Sends SIGTERM.</summary>
    public void Terminate()
    {
        using var kill = Process.Start("kill", ["-s", "TERM", _process.Id.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            _process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It has ended.
        }

        await EndedAsync();
        _process.Dispose();
    }

    private static async Task ReadAsync(StreamReader reader, Action<string> line)
    {
        while (await reader.ReadLineAsync() is { } text)
        {
            line(text);
        }
    }

    private async Task<int> EndedAsync()
    {
        await _process.WaitForExitAsync();
        await _reading;
        return _process.ExitCode;
    }

    [GeneratedRegex("^(Wix|Tables|Tokens|KeyVault|Functions|Local|Logging|OTEL|APPLICATIONINSIGHTS|ASPNETCORE|FUNCTIONS)_|Schedule$", RegexOptions.IgnoreCase)]
    private static partial Regex Setting();
}

using System.Diagnostics;

namespace WixOAuth.Programs.Tests.Scale;

/// <summary>A program of <c>bench/</c> on simulated time: a process of its own, because it needs a thread pool of one thread.</summary>
internal static class Simulation
{
    /// <summary>Runs a program to its end.</summary>
    /// <param name="program">The name of its assembly.</param>
    /// <param name="patience">How long it may take.</param>
    /// <param name="arguments">What it is told.</param>
    public static async Task<(int ExitCode, string Output, string Errors)> RunAsync(string program, TimeSpan patience, params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, $"{program}.dll"), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        using var limit = new CancellationTokenSource(patience);
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(limit.Token), process.StandardError.ReadToEndAsync(limit.Token));
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill();
            }
        }

        return (process.ExitCode, await output, await errors);
    }
}

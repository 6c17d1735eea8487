using System.Diagnostics;
using WixOAuth.Processes;

namespace WixOAuth.Load;

/// <summary><see cref="EmptyApi"/> as a separate process.</summary>
internal sealed class EmptyProcess : IAsyncDisposable
{
    private readonly Process _process;

    private EmptyProcess(Process process, Uri url)
    {
        _process = process;
        Url = url;
        _ = process.StandardOutput.BaseStream.CopyToAsync(Stream.Null);
        _ = process.StandardError.BaseStream.CopyToAsync(Stream.Null);
    }

    public Uri Url { get; }

    public TimeSpan ProcessorTime
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    public static EmptyProcess Launch()
    {
        var url = $"http://127.0.0.1:{FreePort.Next()}";
        return new EmptyProcess(
            ServiceProcess.Launch(typeof(EmptyApi).Assembly.Location, ["empty", url], new Dictionary<string, string>()), new Uri(url));
    }

    public async ValueTask DisposeAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync(CancellationToken.None);
        _process.Dispose();
    }
}

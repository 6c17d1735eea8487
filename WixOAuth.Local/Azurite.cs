using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using WixOAuth.Settings;

namespace WixOAuth.Local;

/// <summary>
/// Azurite's table and blob services as a child process on free ports of the loopback address. It ends with this object, and
/// with this process however that ends: the child watches its standard input.
/// </summary>
/// <remarks>
/// Data survives both, but not a kill of the child itself: Azurite saves every 5 seconds and when it ends.
/// </remarks>
internal sealed class Azurite : IAsyncDisposable
{
    // The account that every emulator of Azure Storage has. Not with the key that Microsoft publishes: with it any other
    // user of this machine could read and write the tables.
    private const string Account = "devstoreaccount1";

    private static readonly TimeSpan s_startsWithin = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_endsWithin = TimeSpan.FromSeconds(30);

    private readonly Process _process;
    private readonly FileStream _lock;

    private Azurite(Process process, FileStream @lock, string key, AzuritePorts ports)
    {
        _process = process;
        _lock = @lock;
        AccountKey = key;
        var queue = ports.Queue is { } port ? $"QueueEndpoint=http://127.0.0.1:{port}/{Account};" : "";
        ConnectionString = new ConnectionString(
            $"DefaultEndpointsProtocol=http;AccountName={Account};AccountKey={key};"
            + $"TableEndpoint=http://127.0.0.1:{ports.Table}/{Account};BlobEndpoint=http://127.0.0.1:{ports.Blob}/{Account};{queue}");
    }

    public ConnectionString ConnectionString { get; }

    internal string AccountKey { get; }

    internal int ProcessId => _process.Id;

    /// <summary>
    /// Starts Azurite on a folder that no other Azurite uses, and waits until it answers. Without <paramref name="savesMeanwhile"/>
    /// it saves only when it ends, so that it never pauses to save a large table. Queue messages are kept in memory.
    /// <paramref name="accountKey"/> is the key of an earlier start; without one a new key is made.
    /// </summary>
    /// <exception cref="StartFailedException">Node or Azurite is not installed, or it ended or did not answer within a minute.</exception>
    public static async Task<Azurite> StartAsync(
        string dataFolder, CancellationToken cancellationToken, bool savesMeanwhile = true, bool withQueues = false, string? accountKey = null)
    {
        var script = FindScript();
        var @lock = Lock(dataFolder);
        var key = accountKey ?? Convert.ToBase64String(RandomNumberGenerator.GetBytes(64));
        Process? process = null;
        try
        {
            process = Start(script, dataFolder, key, savesMeanwhile, withQueues);
            return new Azurite(process, @lock, key, await ReadPortsAsync(process, cancellationToken));
        }
        catch
        {
            if (process is not null)
            {
                await StopAsync(process);
            }

            await @lock.DisposeAsync();
            throw;
        }
    }

    /// <summary>Has the data saved and the process end; kills it when that takes longer than 30 seconds.</summary>
    public async ValueTask DisposeAsync()
    {
        await StopAsync(_process);
        await _lock.DisposeAsync();
    }

    // Upwards from the program, so that no path of the machine it was built on is part of it.
    internal static string FindScript()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var script = Path.Combine(folder.FullName, "tools", "azurite", "run.mjs");
            if (File.Exists(script))
            {
                return File.Exists(Path.Combine(Path.GetDirectoryName(script)!, "node_modules", "azurite", "package.json"))
                    ? script
                    : throw new StartFailedException("Azurite is not installed: install Node 20 or newer and run 'npm ci' in tools/azurite.");
            }
        }

        throw new StartFailedException("Azurite was not found: this program looks for tools/azurite in the folders above its own.");
    }

    // Two of them on one folder would overwrite each other's data without a word.
    private static FileStream Lock(string dataFolder)
    {
        try
        {
            Directory.CreateDirectory(dataFolder);
            return new FileStream(Path.Combine(dataFolder, "azurite.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StartFailedException("Azurite's data folder is in use by another run of this program, or cannot be written to.", exception);
        }
    }

    private static Process Start(string script, string dataFolder, string key, bool savesMeanwhile, bool withQueues)
    {
        var start = new ProcessStartInfo("node")
        {
            ArgumentList = { script, Path.GetFullPath(dataFolder) },
            Environment = { ["AZURITE_ACCOUNTS"] = $"{Account}:{key}" },
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        if (!savesMeanwhile)
        {
            start.ArgumentList.Add("at-end");
        }

        if (withQueues)
        {
            start.ArgumentList.Add("queue");
        }

        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception exception)
        {
            throw new StartFailedException("Azurite needs Node, which is not installed: install Node 20 or newer.", exception);
        }
    }

    private static async Task<AzuritePorts> ReadPortsAsync(Process process, CancellationToken cancellationToken)
    {
        var errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(s_startsWithin);
        try
        {
            while (await process.StandardOutput.ReadLineAsync(limit.Token).AsTask().WaitAsync(limit.Token) is { } line)
            {
                if (line.StartsWith("listening ", StringComparison.Ordinal))
                {
                    // A pipe that is not read fills up and blocks its writer.
                    _ = process.StandardOutput.BaseStream.CopyToAsync(Stream.Null, CancellationToken.None);
                    return AzuritePorts.Read(line["listening ".Length..]);
                }
            }
        }
        catch (OperationCanceledException exception) when (!cancellationToken.IsCancellationRequested)
        {
            throw new StartFailedException("Azurite did not start within a minute.", exception);
        }

        var words = string.Join(' ', (await errors).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        throw new StartFailedException($"Azurite ended as soon as it was started: {words}");
    }

    private static async Task StopAsync(Process process)
    {
        using (process)
        {
            process.StandardInput.Close();
            try
            {
                await process.WaitForExitAsync(CancellationToken.None).WaitAsync(s_endsWithin);
            }
            catch (TimeoutException)
            {
                process.Kill(entireProcessTree: true);

                // Until then it may still write into the data folder.
                await process.WaitForExitAsync(CancellationToken.None);
            }
        }
    }
}

/// <summary>The ports of one Azurite's services; no queue port when it serves no queues.</summary>
internal readonly record struct AzuritePorts(int Table, int Blob, int? Queue)
{
    /// <summary>Reads <c>table=1 blob=2 queue=3</c>; other services are ignored.</summary>
    public static AzuritePorts Read(string line)
    {
        var ports = line.Split(' ').Select(part => part.Split('=')).ToDictionary(part => part[0], part => int.Parse(part[1], NumberStyles.None, CultureInfo.InvariantCulture));
        return new AzuritePorts(ports["table"], ports["blob"], ports.TryGetValue("queue", out var queue) ? queue : null);
    }
}

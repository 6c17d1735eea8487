using System.Diagnostics;
using System.Reflection;

namespace WixOAuth.Load;

/// <summary>A program published with ReadyToRun, as WixOAuth.Functions is when it is deployed.</summary>
internal sealed class Published : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("wixoauth-published-");

    private readonly string _file;

    private Published(string file) => _file = file;

    public string Assembly => Path.Combine(_folder.FullName, _file);

    /// <summary>Publishes a project; null where that fails, as where the registry has no compiler for this machine.</summary>
    /// <param name="name">The name of the metadata of this assembly that holds the project's folder.</param>
    /// <param name="file">The file of the program.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public static async Task<Published?> MakeAsync(string name, string file, CancellationToken cancellationToken)
    {
        var published = new Published(file);
        var project = typeof(Published).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(metadata => metadata.Key == name).Value!;
        using var publishing = Process.Start(new ProcessStartInfo(
            "dotnet",
            [
                "publish", project, "-c", "Release", "-o", published._folder.FullName, "--use-current-runtime", "--no-self-contained", "-v", "quiet",
                "-p:PublishReadyToRun=true",

                // It contains packages of this machine only.
                "-p:NuGetLockFilePath=obj/published.packages.lock.json",
            ]))!;
        await publishing.WaitForExitAsync(cancellationToken);
        if (publishing.ExitCode == 0)
        {
            return published;
        }

        published.Dispose();
        return null;
    }

    public void Dispose() => _folder.Delete(recursive: true);
}

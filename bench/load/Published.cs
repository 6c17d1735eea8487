using System.Diagnostics;
using System.Reflection;

namespace WixOAuth.Load;

/// <summary>WixOAuth.Local compiled ahead, as WixOAuth.Functions is when it is deployed.</summary>
internal sealed class Published : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("wixoauth-published-");

    private Published()
    {
    }

    public string Assembly => Path.Combine(_folder.FullName, "WixOAuth.Local.dll");

    /// <summary>Publishes it; null where that fails, as where the registry has no compiler for this machine.</summary>
    public static async Task<Published?> MakeAsync(CancellationToken cancellationToken)
    {
        var published = new Published();
        var project = typeof(Published).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(metadata => metadata.Key == "LocalProject").Value!;
        using var publishing = Process.Start(new ProcessStartInfo(
            "dotnet",
            [
                "publish", project, "-c", "Release", "-o", published._folder.FullName, "--use-current-runtime", "--no-self-contained", "-v", "quiet",
                "-p:PublishReadyToRun=true",

                // It has packages of this machine in it, and is nobody else's.
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

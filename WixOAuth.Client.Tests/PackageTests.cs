using System.Diagnostics;
using System.IO.Compression;
using System.Reflection;
using System.Xml.Linq;

namespace WixOAuth.Client.Tests;

/// <summary>What would be published.</summary>
public sealed class PackageTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("wixoauth-pack-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task The_package_holds_both_frameworks_documentation_readme_and_symbols_and_one_dependency()
    {
        var configuration = new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name;

        // As it was built: a build would write what other tests read meanwhile.
        using var process = Process.Start(new ProcessStartInfo(
            "dotnet", ["pack", Path.Combine(Repository.Root, "WixOAuth.Client"), "--no-build", "--disable-build-servers", "-c", configuration, "-o", _folder.FullName, "-v", "q"])
        {
            RedirectStandardOutput = true,
        })!;
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, output);

        await using var package = await ZipFile.OpenReadAsync(Assert.Single(_folder.GetFiles("*.nupkg")).FullName);
        var names = package.Entries.Select(entry => entry.FullName).ToList();
        Assert.Contains("README.md", names);
        Assert.Equal(
            ["lib/net10.0/WixOAuth.Client.dll", "lib/net10.0/WixOAuth.Client.xml", "lib/net8.0/WixOAuth.Client.dll", "lib/net8.0/WixOAuth.Client.xml"],
            names.Where(name => name.StartsWith("lib/", StringComparison.Ordinal)).Order(StringComparer.Ordinal));

        await using var nuspec = await package.Entries.Single(entry => entry.FullName.EndsWith(".nuspec", StringComparison.Ordinal)).OpenAsync();
        var dependencies = (await XDocument.LoadAsync(nuspec, LoadOptions.None, CancellationToken.None)).Descendants()
            .Where(element => element.Name.LocalName == "dependency").Select(element => element.Attribute("id")!.Value);
        Assert.Equal(["Microsoft.Extensions.Http", "Microsoft.Extensions.Http"], dependencies);

        await using var symbols = await ZipFile.OpenReadAsync(Assert.Single(_folder.GetFiles("*.snupkg")).FullName);
        Assert.Equal(2, symbols.Entries.Count(entry => entry.Name == "WixOAuth.Client.pdb"));
    }

    [Fact]
    public void The_library_says_that_it_can_be_trimmed_and_compiled_ahead_and_knows_nothing_of_azure()
    {
        var library = typeof(IWixTokenClient).Assembly;
        var metadata = library.GetCustomAttributes<AssemblyMetadataAttribute>().ToDictionary(each => each.Key, each => each.Value);
        Assert.Equal(("True", "True"), (metadata["IsTrimmable"], metadata["IsAotCompatible"]));
        Assert.DoesNotContain(library.GetReferencedAssemblies(), assembly => assembly.Name!.StartsWith("Azure", StringComparison.Ordinal));
    }
}

using WixOAuth.Local;

namespace WixOAuth.Programs.Tests.Local;

public sealed class DataFolderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_secret_is_made_once()
    {
        Assert.Equal("first", Folder().KeepSecret("key", () => "first"));
        Assert.Equal("first", Folder().KeepSecret("key", () => "second"));
        Assert.Single(Directory.GetFiles(Path.Combine(_folder.Path, "data")));
    }

    [Fact]
    public async Task Many_that_ask_at_once_get_the_same_one()
    {
        var secrets = await Task.WhenAll(Enumerable.Range(0, 32).Select(number => Task.Run(() => Folder().KeepSecret("key", () => $"secret {number}"))));
        Assert.Single(secrets.Distinct());
        Assert.Single(Directory.GetFiles(Path.Combine(_folder.Path, "data")));
    }

    [Fact]
    public void Only_its_owner_can_read_the_data_folder()
    {
        Folder().KeepSecret("key", () => "secret");
        Folder().TakeAlone("Azurite", "").Dispose();
        var data = Path.Combine(_folder.Path, "data");
        if (OperatingSystem.IsWindows())
        {
            FileOwner.AssertAlone(Path.Combine(data, "key"));
            FileOwner.AssertAlone(Path.Combine(data, "azurite.lock"));
            return;
        }

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(data, "key")));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(data, "azurite.lock")));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(data));
    }

    [Fact]
    public void An_empty_secret_is_not_taken_for_one()
    {
        File.WriteAllText(Folder().PathOf("key"), "\n");
        Assert.Contains("is empty", Assert.Throws<StartFailedException>(() => Folder().KeepSecret("key", () => "new")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_taken_port_is_not_handed_out_again_until_it_is_returned()
    {
        var taken = Folder().TakeAlone("pretend Wix", "Wix__ApiUrl");
        var line = Assert.Throws<StartFailedException>(() => Folder().TakeAlone("pretend Wix", "Wix__ApiUrl")).Message;
        Assert.Contains("pretend Wix", line, StringComparison.Ordinal);
        Assert.Contains(_folder.Path, line, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', line);
        Folder().TakeAlone("Azurite", "").Dispose();

        taken.Dispose();
        Folder().TakeAlone("pretend Wix", "Wix__ApiUrl").Dispose();
    }

    [Fact]
    public async Task A_program_that_was_given_everything_makes_no_folder()
    {
        var settings = LocalHostFixture.Settings();
        settings["Local__DataFolder"] = Path.Combine(_folder.Path, "data");
        await using var host = await LocalHostFixture.StartAsync(typeof(SampleFunctions), settings);
        Assert.False(Directory.Exists(Path.Combine(_folder.Path, "data")));
        Assert.Equal(new Uri("http://127.0.0.1:7071/api/install"), host.InstallPage);
    }

    [Fact]
    public async Task Programs_that_share_a_storage_share_the_kept_keys_too()
    {
        var settings = LocalHostFixture.Settings();
        settings["Local__DataFolder"] = Path.Combine(_folder.Path, "data");
        settings["Functions__Key"] = null;
        await using var first = await LocalHostFixture.StartAsync(typeof(SampleFunctions), settings);
        await using var second = await LocalHostFixture.StartAsync(typeof(SampleFunctions), settings);
        Assert.Equal(first.FunctionKey, second.FunctionKey);
        Assert.Equal(43, first.FunctionKey.Length);
    }

    private DataFolder Folder() => new(Path.Combine(_folder.Path, "data"));
}

using System.Security.Cryptography;
using Microsoft.Extensions.Logging.Abstractions;
using WixOAuth.Local;
using WixOAuth.PretendWix;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Settings;

namespace WixOAuth.Processes;

/// <summary>What the programs under test share: one Azurite, one pretend Wix, and the keys.</summary>
internal sealed class Surroundings : IAsyncDisposable
{
    public const string FunctionKey = "the-function-key-of-a-bench";

    public const string AppId = "11111111-2222-4333-8444-555555555555";
    private const string AppSecret = "the-app-secret-of-a-bench";

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("wixoauth-bench-");
    private readonly byte[] _protectionKey = RandomNumberGenerator.GetBytes(ProtectionKey.Length);

    private Surroundings()
    {
    }

    public Azurite Azurite { get; private set; } = null!;

    public PretendWixServer Wix { get; private set; } = null!;

    /// <summary>Encrypts as the programs do, so that what is seeded is theirs.</summary>
    public TokenProtector Protector => new(new KeyRing(
        new ConfiguredSource<ProtectionKeys>(new ProtectionKeys(new ProtectionKey(ProtectionKey.IdOf(_protectionKey), _protectionKey))),
        NullLogger<KeyRing>.Instance));

    public static async Task<Surroundings> StartAsync(CancellationToken cancellationToken)
    {
        var surroundings = new Surroundings();
        try
        {
            surroundings.Azurite = await Azurite.StartAsync(surroundings._folder.FullName, cancellationToken, savesMeanwhile: false);
            surroundings.Wix = await PretendWixServer.StartAsync(
                new PretendWixOptions { AppId = AppId, AppSecret = AppSecret }, cancellationToken);
            surroundings.Wix.Control.RemembersSecrets = false;
            surroundings.Wix.Control.Switches = surroundings.Wix.Control.Switches with { SendWebhooks = false };
            return surroundings;
        }
        catch
        {
            await surroundings.DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// Ends Azurite and starts it again on what it had, at another port. It is let save first: it writes to its disk
    /// every few seconds only, and what it had answered before a sudden end would be lost, which Azure never does.
    /// </summary>
    public async Task RestartAzuriteAsync(CancellationToken cancellationToken)
    {
        await Azurite.DisposeAsync();
        Azurite = await Azurite.StartAsync(_folder.FullName, cancellationToken, savesMeanwhile: false, accountKey: Azurite.AccountKey);
    }

    public static string NewTableName() => $"t{Guid.NewGuid():N}";

    public TablesOptions Table(string name, Azurite? azurite = null) => new() { ConnectionString = (azurite ?? Azurite).ConnectionString, Name = name };

    /// <summary>The settings of a program.</summary>
    /// <param name="table">Its table.</param>
    /// <param name="connectionString">How it reaches the storage, if not directly.</param>
    public Dictionary<string, string> Settings(string table, string? connectionString = null) => new()
    {
        ["urls"] = "http://127.0.0.1:0",
        ["Wix__AppId"] = AppId,
        ["Wix__AppSecret"] = AppSecret,
        ["Wix__ApiUrl"] = Wix.ApiUrl.ToString(),
        ["Wix__InstallerUrl"] = Wix.InstallerUrl.ToString(),
        ["Wix__RedirectUrl"] = "http://localhost:7071/api/redirect",
        ["Tables__ConnectionString"] = connectionString ?? Azurite.ConnectionString.Reveal(),
        ["Tables__Name"] = table,
        ["Tokens__ProtectionKey"] = Convert.ToBase64String(_protectionKey),
        ["Functions__Key"] = FunctionKey,
        ["Functions__DisableTimers"] = "true",
        ["Logging__LogLevel__Default"] = "Warning",
    };

    public async ValueTask DisposeAsync()
    {
        if (Wix is not null)
        {
            await Wix.DisposeAsync();
        }

        if (Azurite is not null)
        {
            await Azurite.DisposeAsync();
        }

        _folder.Delete(recursive: true);
    }
}

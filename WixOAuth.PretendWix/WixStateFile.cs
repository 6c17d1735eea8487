using System.Text.Json;

namespace WixOAuth.PretendWix;

/// <summary>The state as it is stored in the file.</summary>
internal sealed record SavedWixState
{
    public required byte[] TicketKey { get; init; }

    public string? WebhookKeyPem { get; init; }

    public int Seeded { get; init; }

    public required IReadOnlyList<SavedSite> Sites { get; init; }

    public required IReadOnlyDictionary<string, long> UsedCodes { get; init; }
}

/// <summary>A site as it is stored in the file.</summary>
internal sealed record SavedSite(
    Guid InstanceId,
    string Name,
    Guid? OriginInstanceId,
    bool Seeded,
    PretendSiteStatus Status,
    int Epoch,
    int Serial,
    int OldestValidSerial,
    bool RefreshRejected,
    bool SetupComplete,
    int MajorVersion)
{
    public static SavedSite Of(Site site)
    {
        lock (site.Gate)
        {
            return new(
                site.InstanceId,
                site.Name,
                site.OriginInstanceId,
                site.Seeded,
                site.Status,
                site.Epoch,
                site.Serial,
                site.OldestValidSerial,
                site.RefreshRejected,
                site.SetupComplete,
                site.MajorVersion);
        }
    }

    public Site Restore() => new()
    {
        InstanceId = InstanceId,
        Name = Name,
        OriginInstanceId = OriginInstanceId,
        Seeded = Seeded,
        Status = Status,
        Epoch = Epoch,
        Serial = Serial,
        OldestValidSerial = OldestValidSerial,
        RefreshRejected = RefreshRejected,
        SetupComplete = SetupComplete,
        MajorVersion = MajorVersion,
    };
}

/// <summary>The file: replaced as a whole, so that a kill leaves either the old or the new one.</summary>
internal sealed class WixStateFile(string path)
{
    private readonly Lock _writing = new();
    private readonly string _path = Path.GetFullPath(path);

    public string? WebhookKeyPem { get; set; }

    public SavedWixState? Read()
    {
        if (!File.Exists(_path))
        {
            return null;
        }

        try
        {
            var saved = JsonSerializer.Deserialize<SavedWixState>(File.ReadAllBytes(_path), PretendWixJson.Options);
            WebhookKeyPem = saved?.WebhookKeyPem;
            return saved;
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{_path} is no state of the pretend Wix. Delete it to start afresh.", e);
        }
    }

    public void Write(Func<SavedWixState> snapshot)
    {
        // The snapshot is taken inside the lock: the last one written is never older than a change before it.
        lock (_writing)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_path)!);
            var next = _path + ".new";
            var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, Share = FileShare.None };
            if (!OperatingSystem.IsWindows())
            {
                options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            }

            using (var stream = new FileStream(next, options))
            {
                JsonSerializer.Serialize(stream, snapshot(), PretendWixJson.Options);
            }

            File.Move(next, _path, overwrite: true);
        }
    }
}

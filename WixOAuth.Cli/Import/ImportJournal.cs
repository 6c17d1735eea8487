using System.Globalization;
using System.Text;

namespace WixOAuth.Cli.Import;

/// <summary>
/// The results of an import, in a file beside the imported one: one line for each site, written as soon as the service has answered, so that
/// an import that was killed goes on where it was. It holds no token.
/// </summary>
internal sealed class ImportJournal : IDisposable
{
    private readonly FileStream _file;
    private readonly Lock _gate = new();

    private ImportJournal(string path, FileStream file, Dictionary<long, string> done) => (Path, _file, Done) = (path, file, done);

    public string Path { get; }

    /// <summary>The outcome of each line that an earlier run has imported.</summary>
    public IReadOnlyDictionary<long, string> Done { get; }

    /// <summary>Opens the journal of a file and a service; one of another file or service is started again, which does no harm.</summary>
    /// <exception cref="CommandFailedException">Another import of this file is running.</exception>
    public static ImportJournal Open(string file, string hash, Uri url)
    {
        var path = file + ".journal";
        var header = $"wixoauth import 1 {hash} {url.AbsoluteUri}";
        try
        {
            var stream = new FileStream(path, NewFile());
            var done = Read(stream, header, out var end);
            stream.SetLength(end);
            stream.Position = end;
            if (end == 0)
            {
                stream.Write(Encoding.UTF8.GetBytes(header + "\n"));
                stream.Flush();
            }

            return new ImportJournal(path, stream, done);
        }
        catch (IOException exception)
        {
            throw new CommandFailedException($"{path} cannot be written ({exception.Message}): is another import of this file running?");
        }
    }

    /// <summary>Writes an outcome down. A kill after this does not lose it.</summary>
    public void Add(long line, string outcome)
    {
        var bytes = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{line} {outcome}\n"));
        lock (_gate)
        {
            _file.Write(bytes);
            _file.Flush();
        }
    }

    /// <summary>Removes it: there is nothing left to go on with.</summary>
    public void Delete()
    {
        _file.Dispose();
        File.Delete(Path);
    }

    public void Dispose() => _file.Dispose();

    // The last line may have been cut off by a kill: what follows the last line break counts for nothing.
    private static Dictionary<long, string> Read(FileStream stream, string header, out long end)
    {
        var done = new Dictionary<long, string>();
        end = 0;
        using var text = new StreamReader(stream, Encoding.UTF8, leaveOpen: true);
        if (text.ReadLine() != header)
        {
            return done;
        }

        var all = header.Length + 1L;
        while (text.ReadLine() is { } entry)
        {
            if (all + entry.Length + 1 > stream.Length)
            {
                break;
            }

            all += entry.Length + 1;
            if (entry.Split(' ') is [var number, var outcome] && long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var line))
            {
                done[line] = string.Intern(outcome);
            }
        }

        end = all;
        return done;
    }

    private static FileStreamOptions NewFile()
    {
        var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.None };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        return options;
    }
}

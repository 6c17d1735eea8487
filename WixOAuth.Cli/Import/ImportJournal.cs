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
    private readonly string _header;
    private readonly OrderedDictionary<long, string> _done;
    private readonly Lock _gate = new();

    private ImportJournal(string path, FileStream file, string header, OrderedDictionary<long, string> done) =>
        (Path, _file, _header, _done) = (path, file, header, done);

    public string Path { get; }

    /// <summary>The outcome of each line that an earlier run has imported, in the order of the answers.</summary>
    public IReadOnlyDictionary<long, string> Done => _done;

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
            var journal = new ImportJournal(path, stream, header, done);
            if (end == 0)
            {
                journal.BeginAnew();
            }

            return journal;
        }
        catch (IOException exception)
        {
            throw new CommandFailedException($"{path} cannot be written ({exception.Message}): is another import of this file running?");
        }
    }

    /// <summary>Drops what it says is imported.</summary>
    public void BeginAnew()
    {
        _done.Clear();
        _file.SetLength(0);
        _file.Write(Encoding.UTF8.GetBytes(_header + "\n"));
        _file.Flush();
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
    private static OrderedDictionary<long, string> Read(FileStream stream, string header, out long end)
    {
        var done = new OrderedDictionary<long, string>();
        end = 0;
        using var text = new StreamReader(stream, Encoding.UTF8, leaveOpen: true);
        if (text.ReadLine() != header)
        {
            return done;
        }

        // In bytes: a host name need not be ASCII.
        var all = Encoding.UTF8.GetByteCount(header) + 1L;
        while (text.ReadLine() is { } entry)
        {
            var length = Encoding.UTF8.GetByteCount(entry) + 1;
            if (all + length > stream.Length)
            {
                break;
            }

            all += length;
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

using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using CsvHelper;

namespace WixOAuth.Cli.Import;

/// <summary>Reads sites from a CSV or NDJSON file, line by line: of all sites only the ids are kept in memory.</summary>
internal sealed class ImportFile : IDisposable
{
    // No valid line is longer; an unclosed quote would make the whole file one field.
    private const int LongestRecord = 1024 * 1024;

    // A file of logs may have any number of names.
    private const int MostIgnored = 20;

    private readonly HashSet<string> _ignored = [];
    private readonly Dictionary<string, (long First, long Second)> _repeated = [];
    private readonly FileStream _stream;
    private readonly DateTimeOffset _now;

    private ImportFile(FileStream stream, DateTimeOffset now) => (_stream, _now) = (stream, now);

    /// <summary>The file's length in bytes.</summary>
    public long Length => _stream.Length;

    /// <summary>How many bytes are read.</summary>
    public long Position => _stream.Position;

    /// <summary>Columns or names of those sites that were read, and that are not used; the first twenty.</summary>
    public IReadOnlyCollection<string> IgnoredColumns => _ignored;

    /// <summary>How many of the sites that were read have no refresh token.</summary>
    public long WithoutToken { get; private set; }

    /// <param name="path">The file.</param>
    /// <param name="now">The time that no consent is later than.</param>
    /// <exception cref="BadUseException">There is no such file, or it is none that can be read twice.</exception>
    public static ImportFile Open(string path, DateTimeOffset now)
    {
        try
        {
            var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 64 * 1024, useAsync: true);
            if (stream.CanSeek)
            {
                return new ImportFile(stream, now);
            }

            stream.Dispose();
            throw new BadUseException($"{path} is a pipe. Save it as a file: it is read more than once.");
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new BadUseException($"There is no file {path}.");
        }
    }

    /// <summary>The SHA-256 of the file, by which it is known again.</summary>
    public async Task<string> HashAsync(CancellationToken cancellationToken)
    {
        _stream.Position = 0;
        return Convert.ToHexStringLower(await SHA256.HashDataAsync(_stream, cancellationToken));
    }

    /// <summary>
    /// Finds the instances that are on more than one line; from then on <see cref="ReadAsync"/> gives these lines a problem. The first one
    /// sent would set the customer for good, and lines are sent at the same time.
    /// </summary>
    /// <exception cref="BadUseException">The file is neither CSV with the columns that are needed nor NDJSON.</exception>
    public async Task FindRepeatedAsync(CancellationToken cancellationToken)
    {
        var lines = new Dictionary<string, long>();
        await foreach (var site in ReadAsync(cancellationToken))
        {
            if (site.InstanceId.Length > 0 && !lines.TryAdd(site.InstanceId, site.Line))
            {
                _repeated.TryAdd(site.InstanceId, (lines[site.InstanceId], site.Line));
            }
        }
    }

    /// <summary>The sites in the order of the file.</summary>
    /// <exception cref="BadUseException">The file is neither CSV with the columns that are needed nor NDJSON.</exception>
    public async IAsyncEnumerable<ImportSite> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        (_stream.Position, WithoutToken) = (0, 0);
        var isJson = await StartsWithBraceAsync(cancellationToken);
        _stream.Position = 0;
        await foreach (var read in isJson ? ReadJsonAsync(cancellationToken) : ReadCsvAsync(cancellationToken))
        {
            var site = read.Problem is null && _repeated.TryGetValue(read.InstanceId, out var lines)
                ? read with { Problem = $"the same instance is on lines {lines.First} and {lines.Second}: keep the one of the later consent" }
                : read;
            WithoutToken += site is { RefreshToken: null, Problem: null } ? 1 : 0;
            yield return site;
        }
    }

    public void Dispose() => _stream.Dispose();

    private async Task<bool> StartsWithBraceAsync(CancellationToken cancellationToken)
    {
        var start = new char[1024];
        using var text = OpenText();
        var length = await text.ReadBlockAsync(start, cancellationToken);
        return start.AsSpan(0, length).TrimStart().StartsWith('{');
    }

    // By its byte order mark it may also be UTF-16, which PowerShell 5 writes.
    private StreamReader OpenText() => new(_stream, Encoding.UTF8, detectEncodingFromByteOrderMarks: true, leaveOpen: true);

    private async IAsyncEnumerable<ImportSite> ReadJsonAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var text = OpenText();
        for (var line = 1L; await text.ReadLineAsync(cancellationToken) is { } json; line++)
        {
            if (!string.IsNullOrWhiteSpace(json))
            {
                yield return ReadJson(line, json);
            }
        }
    }

    private ImportSite ReadJson(long line, string json)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            var fields = new Dictionary<ImportField, string>();
            foreach (var property in document.RootElement.EnumerateObject())
            {
                if (ImportFields.Find(property.Name) is not { } field)
                {
                    Ignore(property.Name);
                }
                else if (property.Value.ValueKind is not (JsonValueKind.String or JsonValueKind.Number or JsonValueKind.Null))
                {
                    return ImportSite.Unreadable(line, $"{field} is neither a text nor a number");
                }
                else if (property.Value.ValueKind != JsonValueKind.Null && !fields.TryAdd(field, property.Value.ToString()))
                {
                    return ImportSite.Unreadable(line, $"two names for the field {field}: leave the wrong one out");
                }
            }

            return ImportSite.Read(line, _now, field => fields.GetValueOrDefault(field));
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // Without the cause, which may quote a token.
            return ImportSite.Unreadable(line, "not a JSON object");
        }
    }

    private async IAsyncEnumerable<ImportSite> ReadCsvAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var options = CsvReaderOptions.Default with { TrackLineNumbers = true, IncludeValuesInExceptions = false, MaxRecordSize = LongestRecord };
        using var csv = CsvReader.Create(_stream, options, leaveOpen: true);
        await csv.ReadHeaderAsync(cancellationToken);
        var columns = ReadHeader([.. csv.Headers]);
        while (true)
        {
            ImportSite? broken = null;
            try
            {
                if (!await csv.ReadAsync(cancellationToken))
                {
                    break;
                }
            }
            catch (CsvFormatException exception)
            {
                broken = ImportSite.Unreadable(exception.LineNumber, "a quote that never ends, or a record that is too long: nothing after it was read");
            }

            if (broken is not null)
            {
                yield return broken;
                break;
            }

            yield return csv.FieldCount == columns.Count
                ? ImportSite.Read(csv.LineNumber, _now, field => columns.IndexOf(field) is >= 0 and var at ? ValueOf(csv.GetString(at).Trim()) : null)
                : ImportSite.Unreadable(csv.LineNumber, $"it has {csv.FieldCount} fields, the header has {columns.Count}");
        }
    }

    // MySQL and others write these where a database has nothing.
    private static string ValueOf(string text) => text is "null" or @"\N" ? "" : text;

    private void Ignore(string name)
    {
        if (_ignored.Count < MostIgnored)
        {
            _ignored.Add(name);
        }
    }

    private List<ImportField?> ReadHeader(string[] header)
    {
        var columns = header.Select(ImportFields.Find).ToList();
        foreach (var name in header.Where((_, i) => columns[i] is null))
        {
            Ignore(name);
        }

        if (!columns.Contains(ImportField.InstanceId))
        {
            throw new BadUseException("The first line should name the columns, one of them instanceId; or the file should be NDJSON.");
        }

        return columns.OfType<ImportField>().GroupBy(field => field).FirstOrDefault(same => same.Count() > 1) is { } twice
            ? throw new BadUseException($"Two columns name the field {twice.Key}: rename the wrong one.")
            : columns;
    }
}

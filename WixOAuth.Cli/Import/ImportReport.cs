using System.Globalization;
using CsvHelper;

namespace WixOAuth.Cli.Import;

/// <summary>
/// A CSV file with what became of each line, in the order of the answers. It holds no token, and nothing that a spreadsheet
/// would run as a formula.
/// </summary>
internal sealed class ImportReport : IDisposable
{
    private readonly CsvWriter _csv;
    private readonly Lock _gate = new();

    public ImportReport(string path)
    {
        _csv = CsvWriter.Create(File.Create(path), CsvWriterOptions.Default with { Injection = CsvInjection.Escape }, leaveOpen: false);
        _csv.WriteRecord("line", "instance_id", "outcome", "code", "message");
    }

    public void Add(long line, string instanceId, string outcome, string code, string message)
    {
        lock (_gate)
        {
            _csv.WriteRecord(line.ToString(CultureInfo.InvariantCulture), instanceId, outcome, code, message);
        }
    }

    public void Dispose() => _csv.Dispose();
}

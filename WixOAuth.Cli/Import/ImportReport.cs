using System.Globalization;
using CsvHelper;

namespace WixOAuth.Cli.Import;

/// <summary>A CSV file with what became of each line, in the order of the answers. It holds no token.</summary>
internal sealed class ImportReport : IDisposable
{
    private readonly CsvWriter _csv;
    private readonly Lock _gate = new();

    public ImportReport(string path)
    {
        _csv = new CsvWriter(new StreamWriter(path), CultureInfo.InvariantCulture);
        Write("line", "instance_id", "outcome", "code", "message");
    }

    public void Add(long line, string instanceId, string outcome, string code, string message)
    {
        lock (_gate)
        {
            Write(line.ToString(CultureInfo.InvariantCulture), instanceId, outcome, code, message);
        }
    }

    public void Dispose() => _csv.Dispose();

    private void Write(params ReadOnlySpan<string> fields)
    {
        foreach (var field in fields)
        {
            _csv.WriteField(field);
        }

        _csv.NextRecord();
    }
}

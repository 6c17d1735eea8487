using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Azure.Data.Tables;

namespace WixOAuth.Storage;

/// <summary>
/// A row as one line of JSON and back, with every property as it is: those that this version does not know too.
/// </summary>
/// <remarks>
/// The form is the table service's own (OData, minimal metadata): a property whose type JSON cannot express is preceded
/// by <c>"name@odata.type"</c>. <c>Timestamp</c> and the ETag are left out, because the service sets them itself.
/// </remarks>
internal static class RowJson
{
    private const string TypeSuffix = "@odata.type";
    private static readonly string[] s_ownedByService = ["odata.etag", "Timestamp"];

    public static void Write(IBufferWriter<byte> output, TableEntity row)
    {
        using (var json = new Utf8JsonWriter(output))
        {
            json.WriteStartObject();
            foreach (var (name, value) in row)
            {
                if (value is not null && !s_ownedByService.Contains(name))
                {
                    WriteProperty(json, name, value);
                }
            }

            json.WriteEndObject();
        }

        output.Write("\n"u8);
    }

    /// <exception cref="InvalidDataException">The line is no row. Never quotes it.</exception>
    public static TableEntity Read(ReadOnlyMemory<byte> line)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            var (row, type) = (new TableEntity(), (string?)null);
            foreach (var property in document.RootElement.EnumerateObject())
            {
                if (property.Name.EndsWith(TypeSuffix, StringComparison.Ordinal))
                {
                    type = property.Value.GetString();
                    continue;
                }

                row[property.Name] = ReadValue(property.Value, type);
                type = null;
            }

            return row.PartitionKey is { Length: > 0 } && row.RowKey is { Length: > 0 } ? row : throw new InvalidDataException("A row has no keys.");
        }
        catch (Exception exception) when (exception is JsonException or FormatException or OverflowException or ArgumentException or InvalidOperationException or InvalidCastException)
        {
            // Without the cause: its message may quote the line.
            throw new InvalidDataException("A line is not a row of the table.");
        }
    }

    private static void WriteProperty(Utf8JsonWriter json, string name, object value)
    {
        switch (value)
        {
            case string text:
                json.WriteString(name, text);
                break;
            case bool flag:
                json.WriteBoolean(name, flag);
                break;
            case int number:
                json.WriteNumber(name, number);
                break;
            case long number:
                WriteTyped("Edm.Int64", number.ToString(CultureInfo.InvariantCulture));
                break;
            case double number:
                WriteTyped("Edm.Double", number.ToString("R", CultureInfo.InvariantCulture));
                break;
            case DateTimeOffset time:
                WriteTyped("Edm.DateTime", time.UtcDateTime.ToString("O", CultureInfo.InvariantCulture));
                break;
            case Guid guid:
                WriteTyped("Edm.Guid", guid.ToString("D"));
                break;
            case byte[] bytes:
                WriteTyped("Edm.Binary", Convert.ToBase64String(bytes));
                break;
            case BinaryData data:
                WriteTyped("Edm.Binary", Convert.ToBase64String(data.ToMemory().Span));
                break;
            default:
                throw new InvalidDataException($"The property '{name}' has the type {value.GetType().Name}, which no table has.");
        }

        void WriteTyped(string type, string text)
        {
            json.WriteString(name + TypeSuffix, type);
            json.WriteString(name, text);
        }
    }

    private static object ReadValue(JsonElement value, string? type) => (type, value.ValueKind) switch
    {
        (null, JsonValueKind.String) => value.GetString()!,
        (null, JsonValueKind.True or JsonValueKind.False) => value.GetBoolean(),
        (null, JsonValueKind.Number) => value.GetInt32(),
        ("Edm.Int64", _) => long.Parse(value.GetString()!, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture),
        ("Edm.Double", _) => double.Parse(value.GetString()!, NumberStyles.Float, CultureInfo.InvariantCulture),
        ("Edm.DateTime", _) => DateTimeOffset.Parse(value.GetString()!, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind),
        ("Edm.Guid", _) => Guid.ParseExact(value.GetString()!, "D"),
        ("Edm.Binary", _) => value.GetBytesFromBase64(),
        _ => throw new FormatException(),
    };
}

using Azure.Data.Tables;
using WixOAuth.Instances;

namespace WixOAuth.Storage;

/// <summary>
/// Reads the properties of a row. A property that exists but cannot be understood raises <see cref="InvalidDataException"/>:
/// if it were treated as missing, the next write would lose a token or a tombstone.
/// </summary>
internal readonly struct RowReader(TableEntity row)
{
    private readonly TableEntity _row = row;

    public bool Has(string name) => _row.TryGetValue(name, out var value) && value is not null;

    public string? Text(string name) => Value(name) switch
    {
        null => null,
        string text => text,
        _ => throw Unreadable(name),
    };

    public string RequiredText(string name) => Text(name) ?? throw Unreadable(name);

    public DateTimeOffset? Time(string name) => Optional<DateTimeOffset>(name);

    public bool Flag(string name) => Optional<bool>(name) ?? false;

    public T? Word<T>(string name)
        where T : struct, Enum =>
        Text(name) is { } text ? SnakeCaseEnum.Parse<T>(text) ?? throw Unreadable(name) : null;

    public T RequiredWord<T>(string name)
        where T : struct, Enum =>
        Word<T>(name) ?? throw Unreadable(name);

    public ProtectedText? Protected(string name) => Value(name) switch
    {
        null => null,
        byte[] data => new ProtectedText(RequiredText(name + "KeyId"), data),
        _ => throw Unreadable(name),
    };

    public T Required<T>(string name)
        where T : struct =>
        Optional<T>(name) ?? throw Unreadable(name);

    /// <summary>Names the row and the property, never the value.</summary>
    public InvalidDataException Unreadable(string name) =>
        new($"The row '{Key(nameof(_row.RowKey))}' of partition '{Key(nameof(_row.PartitionKey))}' has no '{name}' that this version understands.");

    // The SDK's own properties throw where a key is not a string.
    private string? Key(string name) => Value(name) as string;

    public T? Optional<T>(string name)
        where T : struct =>
        Value(name) switch
        {
            null => null,
            T value => value,
            _ => throw Unreadable(name),
        };

    private object? Value(string name) => _row.TryGetValue(name, out var value) ? value : null;
}

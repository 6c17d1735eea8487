using Azure.Data.Tables;
using WixOAuth.Instances;

namespace WixOAuth.Storage;

/// <summary>Sets properties of a row; what is not known is left out.</summary>
internal static class RowWriter
{
    // The earliest time a property of Azure's may hold; Azurite takes any.
    private static readonly DateTimeOffset s_earliest = new(1601, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public static void Put(this TableEntity row, string name, object? value)
    {
        if (value is DateTimeOffset time)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(time, s_earliest, name);
            value = time.ToUniversalTime();
        }

        if (value is not null)
        {
            row[name] = value;
        }
    }

    public static void Put(this TableEntity row, string name, ProtectedText? text)
    {
        row.Put(name, text?.Data.ToArray());
        row.Put(name + "KeyId", text?.KeyId);
    }
}

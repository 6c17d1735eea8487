using Azure.Data.Tables;
using WixOAuth.Instances;

namespace WixOAuth.Storage;

/// <summary>Sets properties of a row; what is not known is left out.</summary>
internal static class RowWriter
{
    // The earliest time a property of Azure's may hold; Azurite takes any.
    private static readonly DateTimeOffset s_earliest = new(1601, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public static void Put(this TableEntity row, string name, long? number)
    {
        if (number is { } known)
        {
            row[name] = known;
        }
    }

    public static void Put(this TableEntity row, string name, string? text)
    {
        if (text is not null)
        {
            row[name] = text;
        }
    }

    public static void Put(this TableEntity row, string name, ProtectedText? text)
    {
        if (text is not null)
        {
            row[name] = text.Data.ToArray();
            row[name + "KeyId"] = text.KeyId;
        }
    }

    public static void Put(this TableEntity row, string name, DateTimeOffset? time)
    {
        if (time is { } known)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(known, s_earliest, name);
            row[name] = known.ToUniversalTime();
        }
    }
}

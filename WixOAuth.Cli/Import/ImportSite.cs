using System.Globalization;
using WixOAuth.Http;
using WixOAuth.Secrets;

namespace WixOAuth.Cli.Import;

/// <summary>One site of the file.</summary>
/// <param name="Line">Where it begins in the file, from 1.</param>
/// <param name="InstanceId">The instance; empty where it cannot be read.</param>
/// <param name="RefreshToken">Its refresh token; null where the file has none.</param>
/// <param name="Customer">The customer; null where the file has none.</param>
/// <param name="ConsentedAt">When its owner consented; null where the file does not say.</param>
/// <param name="Problem">Why it cannot be sent; null when it can.</param>
internal sealed record ImportSite(
    long Line, string InstanceId, RefreshToken? RefreshToken, string? Customer, DateTimeOffset? ConsentedAt, string? Problem)
{
    /// <summary>Reads the fields of a line.</summary>
    /// <param name="line">Its number.</param>
    /// <param name="now">The time that no consent is later than.</param>
    /// <param name="field">The text of a field; null where the line has no such field.</param>
    public static ImportSite Read(long line, DateTimeOffset now, Func<ImportField, string?> field)
    {
        var id = TextOf(ImportField.InstanceId)?.Trim() ?? "";
        var token = TextOf(ImportField.RefreshToken)?.Trim();
        var customer = TextOf(ImportField.Customer) is { Length: > 0 } text ? text : null;
        var time = TextOf(ImportField.ConsentedAt)?.Trim() is { Length: > 0 } at ? at : null;
        var consentedAt = time is null ? null : ReadTime(time);
        string? problem = null;
        var hasId = Instances.InstanceId.TryParse(id, out var instance);
        if (!hasId)
        {
            problem = id.Length == 0 ? "no instance id" : "the instance id is not a GUID with hyphens";
        }
        else if (token is "")
        {
            problem = "the refresh token is empty; leave the column out to import sites without refresh tokens";
        }
        else if (token is not null && !ImportEndpoint.IsToken(token))
        {
            problem = "the refresh token has a blank or a character that no token has";
        }
        else if (customer?.Contains('\uFFFD') == true)
        {
            problem = "the customer has a character that cannot be read: save the file as UTF-8";
        }
        else if (customer is not null && !InstanceEndpoints.IsName(customer))
        {
            problem = $"the customer is blank, longer than {InstanceEndpoints.MaxNameLength} characters or has control characters";
        }
        else if (time is not null && consentedAt is null)
        {
            problem = "the time of the consent is neither ISO 8601 nor a Unix time of this century, or it is before 1970";
        }
        else if (consentedAt > now + Instances.Instance.WixClockTolerance)
        {
            problem = "the time of the consent is in the future";
        }

        // An invalid id is not printed: if two columns were swapped, it is a token.
        return new ImportSite(
            line, hasId ? instance.ToString() : "", string.IsNullOrEmpty(token) ? null : new RefreshToken(token), customer, consentedAt, problem);

        // What sqlcmd and others write where a database has nothing.
        string? TextOf(ImportField name) => field(name) switch { "NULL" => "", var text => text };
    }

    /// <summary>For a line that cannot be read at all.</summary>
    public static ImportSite Unreadable(long line, string problem) => new(line, "", null, null, null, problem);

    // Without an offset it is UTC, which is what databases keep.
    private static DateTimeOffset? ReadTime(string text)
    {
        if (long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number))
        {
            // September 2001, before Wix was founded. A smaller number is a date in another form, like 20260304, or stands for nothing.
            const long FirstSeconds = 1_000_000_000;
            return number switch
            {
                >= FirstSeconds and < FirstSeconds * 100 => DateTimeOffset.FromUnixTimeSeconds(number),
                >= FirstSeconds * 1_000 and < FirstSeconds * 100_000 => DateTimeOffset.FromUnixTimeMilliseconds(number),
                _ => null,
            };
        }

        // The parser reads 03/04/2026 as 4 March, which may mean 3 April, and 10:30 as a time of today.
        return text is [>= '0' and <= '9', >= '0' and <= '9', >= '0' and <= '9', >= '0' and <= '9', '-', ..]
            && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time)
            && time >= DateTimeOffset.UnixEpoch
                ? time
                : null;
    }
}

/// <summary>What a line may say of a site.</summary>
internal enum ImportField
{
    InstanceId,
    RefreshToken,
    Customer,
    ConsentedAt,
}

/// <summary>The names that people give the fields.</summary>
internal static class ImportFields
{
    private static readonly Dictionary<string, ImportField> s_fields = new()
    {
        ["instanceid"] = ImportField.InstanceId,
        ["instance"] = ImportField.InstanceId,
        ["appinstanceid"] = ImportField.InstanceId,
        ["wixinstanceid"] = ImportField.InstanceId,
        ["refreshtoken"] = ImportField.RefreshToken,
        ["refresh"] = ImportField.RefreshToken,
        ["wixrefreshtoken"] = ImportField.RefreshToken,
        ["customer"] = ImportField.Customer,
        ["customerid"] = ImportField.Customer,
        ["account"] = ImportField.Customer,
        ["accountid"] = ImportField.Customer,
        ["tenant"] = ImportField.Customer,
        ["tenantid"] = ImportField.Customer,
        ["userid"] = ImportField.Customer,
        ["consentedat"] = ImportField.ConsentedAt,
        ["installedat"] = ImportField.ConsentedAt,
        ["connectedat"] = ImportField.ConsentedAt,
        ["createdat"] = ImportField.ConsentedAt,
    };

    /// <summary>The field of a name: case, spaces, hyphens and underscores make no difference. Null for any other.</summary>
    public static ImportField? Find(string name) =>
        s_fields.TryGetValue(string.Concat(name.Where(char.IsAsciiLetterOrDigit)).ToLowerInvariant(), out var field) ? field : null;
}

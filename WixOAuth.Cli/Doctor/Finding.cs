namespace WixOAuth.Cli.Doctor;

internal enum Verdict
{
    Ok,
    Warning,
    Failed,
    Skipped,
}

/// <summary>One line of the doctor: what was looked at, how it is, and what to do.</summary>
internal sealed record Finding(string Check, Verdict Verdict, string Message)
{
    public static Finding Ok(string check, string message) => new(check, Verdict.Ok, message);

    public static Finding Warning(string check, string message) => new(check, Verdict.Warning, message);

    public static Finding Failed(string check, string message) => new(check, Verdict.Failed, message);

    public static Finding Skipped(string check, string message) => new(check, Verdict.Skipped, message);

    public override string ToString() => $"{Verdict switch { Verdict.Ok => "ok     ", Verdict.Warning => "warning", Verdict.Failed => "FAILED ", _ => "skipped" }} {Check}: {Message}";
}

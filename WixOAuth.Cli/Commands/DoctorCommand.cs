using System.CommandLine;
using System.Globalization;
using WixOAuth.Cli.Doctor;
using WixOAuth.Cli.Output;
using WixOAuth.Instances;
using WixOAuth.Settings;

namespace WixOAuth.Cli.Commands;

/// <summary><c>wixoauth doctor</c></summary>
internal static class DoctorCommand
{
    /// <summary>How many of the sites that Wix refuses are printed; <c>--json</c> has all.</summary>
    private const int MostNamed = 20;

    private static readonly Option<string?> s_url = new("--url") { Description = "The service's address; without it the host of Wix__RedirectUrl." };
    private static readonly Option<bool> s_outside = new("--outside") { Description = "Only what anybody can see; needs no settings." };
    private static readonly Option<bool> s_bridge = new("--bridge") { Description = "Only ask Wix for client-credentials tokens, and say how many sites are ready for them. Nothing is saved." };
    private static readonly Option<int> s_sample = new("--sample") { Description = "How many sites --bridge asks for.", DefaultValueFactory = _ => 50 };
    private static readonly Option<bool> s_all = new("--all") { Description = "Have --bridge ask for all sites." };

    public static Command Create(CliEnvironment environment)
    {
        var (settings, json) = (BackupCommand.SettingsOption(), Results.JsonOption());
        var command = CommandLine.Command(
            "doctor",
            "Checks a deployment from outside and inside, and says in one line each what is wrong and what to do. It changes nothing.",
            "wixoauth doctor                                            # on a laptop, while WixOAuth.Local runs",
            "wixoauth doctor --url https://YOUR-APP.azurewebsites.net --outside",
            "wixoauth doctor --bridge --sample 200");
        foreach (var option in new Option[] { s_url, s_outside, s_bridge, s_sample, s_all, settings, json })
        {
            command.Options.Add(option);
        }

        command.SetAction((parsed, cancellationToken) =>
            RunAsync(environment, parsed, parsed.GetValue(settings), new Results(environment, parsed.GetValue(json)), cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(CliEnvironment environment, ParseResult parsed, string? settings, Results results, CancellationToken cancellationToken)
    {
        var configuration = Deployment.ReadConfiguration(environment, settings);
        await using var inside = new InsideChecks(configuration, environment.Time);
        if (parsed.GetValue(s_bridge))
        {
            var sites = parsed.GetValue(s_all) ? int.MaxValue : parsed.GetValue(s_sample);
            return sites > 0 ? await TryBridgeAsync(environment, inside, sites, results, cancellationToken) : throw new BadUseException("--sample should be at least 1.");
        }

        var url = FindUrl(parsed.GetValue(s_url) ?? configuration["Wix:RedirectUrl"]);
        using var outside = new OutsideChecks(url, ServiceSettings.Read(configuration).Wix.ApiUrl, environment.Time);
        var findings = parsed.GetValue(s_outside) ? outside.RunAsync(cancellationToken) : outside.RunAsync(cancellationToken).Concat(inside.RunAsync(cancellationToken));
        var failed = 0;
        await foreach (var finding in findings)
        {
            failed += finding.Verdict == Verdict.Failed ? 1 : 0;
            results.Write(finding.ToString(), new { finding.Check, Verdict = SnakeCaseEnum.Of(finding.Verdict), finding.Message });
        }

        return failed == 0 ? ExitCode.Ok : ExitCode.Failed;
    }

    private static Uri FindUrl(string? text) => Uri.TryCreate(text, UriKind.Absolute, out var url) && (url.Scheme == Uri.UriSchemeHttps || url.Scheme == Uri.UriSchemeHttp)
        ? new Uri(url.GetLeftPart(UriPartial.Authority))
        : throw new BadUseException("Give the service's address with --url: https://..., or http:// on this machine.");

    private static async Task<int> TryBridgeAsync(CliEnvironment environment, InsideChecks inside, int sites, Results results, CancellationToken cancellationToken)
    {
        var (ready, refused, unknown) = await ProgressDisplay.RunAsync(
            environment, "Asking Wix", sites == int.MaxValue ? 0 : sites, meter => inside.TryBridgeAsync(sites, meter, cancellationToken));
        var summary = string.Create(
            CultureInfo.InvariantCulture,
            $"{ready:N0} of {ready + refused.Count + unknown:N0} sites are ready for client credentials; {refused.Count:N0} are rejected by Wix (the app was removed, or the grant is not open to this app), {unknown:N0} got no clear answer (try again)");
        var named = refused.Take(MostNamed).Select(site => $"rejected: {site.InstanceId} ({site.Code ?? "no code"})");
        results.Write(
            string.Join('\n', named.Prepend(summary)),
            new { Ready = ready, Rejected = refused.Count, Unknown = unknown, RejectedSites = refused });
        return refused.Count + unknown == 0 ? ExitCode.Ok : ExitCode.Failed;
    }
}

using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Azure.Data.Tables;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Instances;
using WixOAuth.Lifecycle;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Settings;
using WixOAuth.Wix;

namespace WixOAuth.Cli.Doctor;

/// <summary>How many sites Wix gives a client-credentials token, which ones it refuses, and how many got no clear answer.</summary>
internal sealed record BridgeReport(long Ready, IReadOnlyList<RefusedSite> Refused, long Unknown);

/// <summary>A site that Wix refuses, and Wix's code for that, if it sent one.</summary>
internal sealed record RefusedSite(string InstanceId, string? Code);

/// <summary>
/// What can be seen with the service's own settings and an identity that may read what it reads. Nothing is written. Tests
/// replace services with <paramref name="replace"/>.
/// </summary>
internal sealed class InsideChecks(IConfiguration configuration, TimeProvider time, Action<IServiceCollection>? replace = null) : IAsyncDisposable
{
    private const int SitesToTry = 200;

    /// <summary>How often the bridge asks for one site until there is a clear answer.</summary>
    private const int MostTries = 5;

    private static readonly TimeSpan s_shortestPause = TimeSpan.FromSeconds(1);
    private ServiceProvider? _services;

    public async IAsyncEnumerable<Finding> RunAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var settings = ServiceSettings.Read(configuration);
        foreach (var problem in settings.Problems)
        {
            yield return Finding.Failed("settings", problem);
        }

        if (settings.Problems.Count > 0)
        {
            yield return Finding.Skipped("table, keys, app secret, webhook key, backups", "the settings come first: correct them, and run this again");
            yield break;
        }

        yield return Finding.Ok("settings", "all are good");
        _services = BuildServices();
        (string Name, Func<string, CancellationToken, Task<Finding>> Run)[] checks =
        [
            ("table", CheckTableAsync),
            ("protection key", CheckKeyAsync),
            ("app secret", CheckAppSecretAsync),
            ("webhook key", CheckWebhookKeyAsync),
            ("backup", CheckBackupAsync),
            ("events", CheckEventsAsync),
        ];
        foreach (var (name, run) in checks)
        {
            yield return await GuardAsync(name, run, cancellationToken);
        }
    }

    /// <summary>
    /// Asks for a client-credentials token for some sites, or all, and saves nothing: whether the bridge off refresh
    /// tokens is open.
    /// </summary>
    public async Task<BridgeReport> TryBridgeAsync(int sites, IProgress<long> progress, CancellationToken cancellationToken)
    {
        var settings = ServiceSettings.Read(configuration);
        if (settings.Problems.Count > 0)
        {
            throw new BadUseException(string.Join('\n', settings.Problems));
        }

        _services ??= BuildServices();
        var secret = (await _services.GetRequiredService<ISecretSource<AppSecretVersion>>().GetAsync(cancellationToken)).Value;
        var (ready, unknown, asked) = (0L, 0L, 0L);
        var refused = new ConcurrentQueue<RefusedSite>();
        await Parallel.ForEachAsync(
            ReadActive(cancellationToken).Take(sites),
            new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = cancellationToken },
            async (instance, token) =>
            {
                switch (await AskPatientlyAsync(instance.Id, secret, token))
                {
                    case TokenAnswer.Granted:
                        Interlocked.Increment(ref ready);
                        break;
                    case TokenAnswer.Rejected rejected:
                        refused.Enqueue(new RefusedSite(instance.Id.ToString(), rejected.Code));
                        break;
                    default:
                        Interlocked.Increment(ref unknown);
                        break;
                }

                progress.Report(Interlocked.Increment(ref asked));
            });
        return new BridgeReport(ready, [.. refused], unknown);
    }

    public ValueTask DisposeAsync() => _services?.DisposeAsync() ?? ValueTask.CompletedTask;

    private ServiceProvider BuildServices()
    {
        var services = new ServiceCollection().AddLogging().AddSingleton(time).AddWixOAuth(configuration);
        replace?.Invoke(services);
        return services.BuildServiceProvider();
    }

    // While Wix throttles, the circuit refuses most calls without making them.
    private async Task<TokenAnswer> AskPatientlyAsync(InstanceId id, AppSecret secret, CancellationToken cancellationToken)
    {
        var (wix, circuit) = (_services!.GetRequiredService<WixClient>(), _services!.GetRequiredService<WixCircuit>());
        for (var tries = 1; ; tries++)
        {
            var answer = await wix.RequestClientCredentialsTokenAsync(id, secret, cancellationToken);
            if (answer is not TokenAnswer.Unavailable unavailable || tries == MostTries)
            {
                return answer;
            }

            TimeSpan[] pauses = [unavailable.RetryAfter ?? TimeSpan.Zero, circuit.RetryAfter, s_shortestPause];
            await Task.Delay(pauses.Max(), time, cancellationToken);
        }
    }

    private IInstanceStore Store => _services!.GetRequiredService<IInstanceStore>();

    private async Task<Finding> CheckTableAsync(string check, CancellationToken cancellationToken)
    {
        await Store.FindAsync(default, cancellationToken);
        var table = _services!.GetRequiredService<TableClient>();
        return Finding.Ok(check, $"'{table.Name}' of the account '{table.AccountName}' can be read");
    }

    // The service looks at the key-check row, which needs no site. Without one a stored token has to do.
    private async Task<Finding> CheckKeyAsync(string check, CancellationToken cancellationToken)
    {
        var keys = _services!.GetRequiredService<IKeyRing>();
        await keys.GetCurrentAsync(cancellationToken);
        if (await _services!.GetRequiredService<IKeyCheckStore>().FindKeyCheckAsync(cancellationToken) is { Check: { } stored })
        {
            return await keys.FindAsync(stored.KeyId, cancellationToken) is { } key && KeyCheck.Opens(key, stored)
                ? Finding.Ok(check, "opens the table's key check")
                : WrongKey(check, "the table's key check", stored.KeyId);
        }

        var protector = _services!.GetRequiredService<TokenProtector>();
        await foreach (var instance in ReadActive(cancellationToken).Take(SitesToTry))
        {
            if (instance.RefreshToken is { } text)
            {
                return await protector.OpenRefreshTokenAsync(instance, cancellationToken) is not null
                    ? Finding.Ok(check, "opens a stored refresh token")
                    : WrongKey(check, "a stored refresh token", text.KeyId);
            }
        }

        return Finding.Ok(check, "can be read; the table has neither a key check nor a refresh token to try it on");
    }

    private static Finding WrongKey(string check, string what, string keyId) => Finding.Failed(
        check, $"does not open {what}, which needs the key {keyId}: bring that version back (runbook: the wrong protection key); nothing is overwritten meanwhile");

    private async Task<Finding> CheckAppSecretAsync(string check, CancellationToken cancellationToken)
    {
        var secret = await _services!.GetRequiredService<ISecretSource<AppSecretVersion>>().GetAsync(cancellationToken);
        if (await ReadActive(cancellationToken).FirstOrDefaultAsync(cancellationToken) is not { } instance)
        {
            return Finding.Skipped(check, "can be read, but no site is installed to try it with");
        }

        return await _services!.GetRequiredService<WixClient>().RequestClientCredentialsTokenAsync(instance.Id, secret.Value, cancellationToken) switch
        {
            TokenAnswer.Granted => Finding.Ok(check, "Wix takes it"),
            TokenAnswer.Rejected => Finding.Warning(check, $"Wix refuses a client-credentials token for {instance.Id}: compare the secret with Wix's dashboard, unless that site removed the app"),
            _ => Finding.Warning(check, "Wix gave no clear answer: try again later, and check Wix__ApiUrl"),
        };
    }

    private async Task<Finding> CheckWebhookKeyAsync(string check, CancellationToken cancellationToken)
    {
        var settings = _services!.GetRequiredService<ServiceSettings>();
        if (settings.Wix.WebhookPublicKeys.Count == 0 && settings.Wix.WebhookPublicKeyName.Length == 0)
        {
            return Finding.Warning(check, "none is set, so removed apps are noticed late: put the app's public key from Wix's dashboard into Wix__WebhookPublicKey");
        }

        var keys = await _services!.GetRequiredService<ISecretSource<WebhookKeys>>().GetAsync(cancellationToken);
        return keys.Count > 0
            ? Finding.Ok(check, "can be read")
            : Finding.Failed(check, $"there is no secret '{settings.Wix.WebhookPublicKeyName}' in Key Vault, so every webhook is refused: put the app's public key from Wix's dashboard there");
    }

    private async Task<Finding> CheckBackupAsync(string check, CancellationToken cancellationToken)
    {
        if (_services!.GetService<BackupContainer>() is not { } copies)
        {
            return Finding.Warning(check, "none are made: set Backup__ServiceUri, or a deleted table is lost");
        }

        if (await copies.ListAsync(cancellationToken) is not [.., var newest])
        {
            return Finding.Warning(check, "there is no finished copy yet: run wixoauth backup");
        }

        var age = time.GetUtcNow() - BackupMonitor.TimeOf(newest);
        return age <= BackupMonitor.OverdueAfter
            ? Finding.Ok(check, $"the last copy, {newest}, is {age.TotalHours:F0} hours old")
            : Finding.Failed(check, $"the last copy, {newest}, is {age.TotalHours:F0} hours old: see the log of the function Backup, and run wixoauth backup");
    }

    private async Task<Finding> CheckEventsAsync(string check, CancellationToken cancellationToken)
    {
        if (configuration["Events:Url"]?.Trim() is not { Length: > 0 } text)
        {
            return Finding.Skipped(check, "no receiver is set (Events__Url)");
        }

        if (SettingsReader.IsVaultReference(text))
        {
            return Finding.Skipped(check, "Events__Url is a reference to Key Vault, which only the platform resolves: give the address itself");
        }

        if (!Uri.TryCreate(text, UriKind.Absolute, out var url))
        {
            return Finding.Failed(check, "Events__Url is no URL: correct it");
        }

        await _services!.GetRequiredService<ISecretSource<EventSecrets>>().GetAsync(cancellationToken);
        using var http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false }) { Timeout = TimeSpan.FromSeconds(10) };
        using var request = new HttpRequestMessage(HttpMethod.Options, url);
        using var response = await http.SendAsync(request, cancellationToken);
        return (int)response.StatusCode < 500
            ? Finding.Ok(check, $"the receiver {url.Host} answers")
            : Finding.Failed(check, $"the receiver {url.Host} answers {(int)response.StatusCode}: fix it; events are retried for 72 hours, then parked for 30 days");
    }

    // Table order is by a hash of the id, so that the first sites are as good as any sample.
    private async IAsyncEnumerable<Instance> ReadActive([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        for (InstanceId? after = null; ;)
        {
            var page = await Store.ListAsync(InstanceStatus.Active, after, IInstanceStore.MaxPage, cancellationToken);
            foreach (var instance in page.Instances)
            {
                yield return instance;
            }

            if ((after = page.Last) is null)
            {
                yield break;
            }
        }
    }

    private static async Task<Finding> GuardAsync(string name, Func<string, CancellationToken, Task<Finding>> check, CancellationToken cancellationToken)
    {
        try
        {
            return await check(name, cancellationToken);
        }
        catch (StorageUnavailableException exception)
        {
            return Finding.Failed(name, $"{exception.Message} Check the address and the role of the identity (Storage Table Data Contributor, Storage Blob Data Contributor)");
        }
        catch (SecretUnavailableException exception)
        {
            return Finding.Failed(name, $"{exception.Message} Check the vault, the name of the secret and the role Key Vault Secrets User");
        }
        catch (InvalidDataException exception)
        {
            return Finding.Failed(name, $"{exception.Message} Update this command to the version of the service");
        }
        catch (Exception exception) when ((exception is HttpRequestException or OperationCanceledException) && !cancellationToken.IsCancellationRequested)
        {
            return Finding.Failed(name, "could not be reached: check the address");
        }
    }
}

using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using Azure.Data.Tables;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using WixOAuth.Functions.Tests.Secrets;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Http;
using WixOAuth.Instances;
using WixOAuth.Protection;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>
/// Secrets are changed as docs/operations.md says, without a restart, while callers ask for tokens without a pause: not
/// one of them is refused.
/// </summary>
[Collection(AzuriteFixture.Name)]
public sealed class RotationTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private const string SecretName = "wix-app-secret";
    private const string KeyName = "token-protection-key";
    private const string WebhookKeyName = "wix-webhook-public-key";
    private const string NewSecret = "the-new-app-secret-of-the-tests";

    private readonly TemporaryFolder _data = new();
    private KeyVaultServer _vault = null!;
    private TestBed _bed = null!;
    private string _oldKey = null!;

    public async Task InitializeAsync()
    {
        _vault = await KeyVaultServer.StartAsync();
        _vault.Add(SecretName, TestBed.AppSecret);
        _oldKey = _vault.Add(KeyName, NewKey());
        _bed = await TestBed.StartWithWebhooksAsync(
            azurite,
            services => services.Replace(ServiceDescriptor.Singleton(_vault.Client())),
            ("KeyVault__VaultUri", _vault.Uri.ToString()),
            ("Wix__AppSecret", ""),
            ("Tokens__ProtectionKey", ""),
            ("Wix__WebhookPublicKey", ""),
            ("Wix__WebhookPublicKeyName", WebhookKeyName),
            ("Local__DataFolder", _data.Path),
            ("Wix__ClientCredentialsFallback", "false"));
    }

    public async Task DisposeAsync()
    {
        await _bed.DisposeAsync();
        await _vault.DisposeAsync();
        _data.Dispose();
    }

    [Fact]
    public async Task The_app_secret_is_rotated_without_a_failed_request_while_Wix_accepts_both()
    {
        await using var load = await Load.StartAsync(_bed);
        await load.PassAsync(minutes: 5);

        _bed.Wix.Control.RotateAppSecret(NewSecret, oldStaysValid: true);
        await load.PassAsync(minutes: 5);
        _vault.Add(SecretName, NewSecret);
        await load.PassAsync(minutes: 20);
        var served = _bed.Wix.Control.IssuedSecrets.Count;
        _bed.Wix.Control.RotateAppSecret(NewSecret, oldStaysValid: false);
        await load.PassAsync(minutes: 20);

        Assert.True(_bed.Wix.Control.IssuedSecrets.Count > served);
        Assert.DoesNotContain("no token from Wix", _bed.Logs.Everything, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_new_app_secret_is_used_when_Wix_no_longer_accepts_the_old_one()
    {
        await using var load = await Load.StartAsync(_bed);
        await load.PassAsync(minutes: 5);

        _bed.Wix.Control.RotateAppSecret(NewSecret, oldStaysValid: false);
        await load.RoundAsync();
        _vault.Add(SecretName, NewSecret);
        var served = _bed.Wix.Control.IssuedSecrets.Count;
        await load.PassAsync(minutes: 20);

        Assert.True(_bed.Wix.Control.IssuedSecrets.Count > served);
    }

    [Fact]
    public async Task The_old_version_of_the_protection_key_can_be_disabled_after_housekeeping()
    {
        IReadOnlyList<Guid> sites;
        await using (var load = await Load.StartAsync(_bed))
        {
            await load.PassAsync(minutes: 5);

            // One that is not used, and that no sweep reaches.
            sites = [.. load.Sites, await _bed.InstallAsync("Idle")];
            var newKey = _vault.Add(KeyName, NewKey());
            await load.PassAsync(minutes: 20);
            Assert.Contains(await _bed.RowsOfAsync(sites[^1]), UsesOldKey);

            await HousekeepAsync();
            await load.RoundAsync();
            var report = _bed.Logs.Everything;
            Assert.Contains($"Protection key {newKey} is the newest: {sites.Count} instances need only it", report, StringComparison.Ordinal);
            Assert.DoesNotContain("leave it enabled", report, StringComparison.Ordinal);

            _vault.Disable(KeyName, _oldKey);
            await load.PassAsync(minutes: 5);
        }

        // A process that never had the old version.
        await _bed.RestartAsync();
        foreach (var id in sites)
        {
            Assert.Equal(HttpStatusCode.OK, (await _bed.GetTokenAsync(id)).StatusCode);
            Assert.DoesNotContain(await _bed.RowsOfAsync(id), UsesOldKey);
        }
    }

    [Fact]
    public async Task Webhooks_of_the_old_and_the_new_key_are_accepted_until_the_old_one_is_taken_away()
    {
        using var old = RSA.Create(2048);
        using var added = RSA.Create(2048);
        var (oldPem, newPem) = (old.ExportSubjectPublicKeyInfoPem(), added.ExportSubjectPublicKeyInfoPem());
        await using var load = await Load.StartAsync(_bed);

        Assert.Equal([401, 401], await PostAsync());
        _vault.Add(WebhookKeyName, oldPem);
        await load.PassAsync(minutes: 1);
        Assert.Equal([200, 401], await PostAsync());

        // The first webhook that Wix signs with the new key finds it.
        _vault.Add(WebhookKeyName, $"{oldPem}\n{newPem}\n");
        await load.PassAsync(minutes: 1);
        Assert.Equal([200, 200], await PostAsync());

        // With the old one taken away, what is signed with it is believed for a quarter of an hour at the longest.
        _vault.Add(WebhookKeyName, newPem);
        await load.PassAsync(minutes: 15);
        Assert.Equal([401, 200], await PostAsync());

        async Task<List<int>> PostAsync()
        {
            var statuses = new List<int>();
            foreach (var key in new[] { old, added })
            {
                var webhook = SignedWebhook.Of(key, "AppRemoved", new InstanceId(Guid.NewGuid()), _bed.Clock.GetUtcNow());
                using var answer = await _bed.PostWebhookAsync(webhook);
                statuses.Add((int)answer.StatusCode);
            }

            return statuses;
        }
    }

    private async Task HousekeepAsync() => await _bed.Host.Services.GetRequiredService<TimerEndpoints>().Housekeeping(CancellationToken.None);

    private bool UsesOldKey(TableEntity row) => ((IDictionary<string, object>)row).Values.Contains(_oldKey);

    private static string NewKey() => Convert.ToBase64String(RandomNumberGenerator.GetBytes(ProtectionKey.Length));

    /// <summary>Callers that ask for the tokens of a few sites without a pause.</summary>
    private sealed class Load : IAsyncDisposable
    {
        private readonly TestBed _bed;
        private readonly CancellationTokenSource _over = new();
        private readonly ConcurrentQueue<string> _refusals = new();
        private readonly Task[] _callers;
        private readonly int[] _rounds;
        private TaskCompletionSource _progress = NewProgress();

        private Load(TestBed bed, List<Guid> sites, string key)
        {
            (_bed, Sites, Key) = (bed, sites, key);
            _rounds = new int[4];
            _callers = [.. Enumerable.Range(0, _rounds.Length).Select(number => Task.Run(() => CallAsync(number)))];
        }

        public IReadOnlyList<Guid> Sites { get; }

        /// <summary>The function key that is shown from the next call on.</summary>
        public string Key { get; set; }

        public static async Task<Load> StartAsync(TestBed bed, string key = TestBed.FunctionKey)
        {
            var sites = new List<Guid>();
            for (var number = 0; number < 4; number++)
            {
                sites.Add(await bed.InstallAsync($"Site {number}"));
            }

            return new Load(bed, sites, key);
        }

        /// <summary>Lets time pass; in each minute every caller asks for every site.</summary>
        public async Task PassAsync(int minutes)
        {
            for (var minute = 0; minute < minutes; minute++)
            {
                _bed.Clock.Advance(TimeSpan.FromMinutes(1));
                await RoundAsync();
            }
        }

        /// <summary>Ends when every caller has asked for every site since now, and no caller was refused.</summary>
        public async Task RoundAsync()
        {
            var before = _rounds.Select((_, number) => Volatile.Read(ref _rounds[number])).ToList();
            for (var progress = _progress; IsBehind(); progress = _progress)
            {
                await progress.Task;
            }

            await _bed.SettleAsync();
            Assert.Empty(_refusals);

            // The round that was under way began before.
            bool IsBehind() => before.Where((rounds, number) => Volatile.Read(ref _rounds[number]) < rounds + 2).Any();
        }

        public async ValueTask DisposeAsync()
        {
            await _over.CancelAsync();
            await Task.WhenAll(_callers);
            Assert.Empty(_refusals);
            _over.Dispose();
        }

        private static TaskCompletionSource NewProgress() => new(TaskCreationOptions.RunContinuationsAsynchronously);

        private async Task CallAsync(int number)
        {
            while (!_over.IsCancellationRequested)
            {
                try
                {
                    foreach (var id in Sites)
                    {
                        using var response = await _bed.GetTokenAsync(id, key: Key);
                        if (response.StatusCode != HttpStatusCode.OK)
                        {
                            _refusals.Enqueue($"{(int)response.StatusCode} {await response.Content.ReadAsStringAsync()}");
                        }
                    }
                }
                catch (HttpRequestException exception)
                {
                    _refusals.Enqueue(exception.Message);
                }

                Interlocked.Increment(ref _rounds[number]);
                Interlocked.Exchange(ref _progress, NewProgress()).SetResult();
            }
        }
    }
}

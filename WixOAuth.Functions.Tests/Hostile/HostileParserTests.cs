using System.Buffers.Text;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Azure.Data.Tables;
using CsCheck;
using WixOAuth.Functions.Tests.Storage;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Hosting;
using WixOAuth.Http;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Lifecycle;
using WixOAuth.Secrets;
using WixOAuth.Storage;
using WixOAuth.Telemetry;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Hostile;

/// <summary>What reads texts of others: whatever they hold, the outcome is one that is documented, and nothing is thrown beside it.</summary>
public sealed class HostileParserTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly string[] s_consumedStateProperties = ["AttemptId", "CodeFingerprint", "InstanceId", "Outcome", "AccessTokenExpiresOn"];

    private const int LongestBody = 256 * 1024;

    private static readonly TimeSpan s_step = TimeSpan.FromSeconds(1);

    private static readonly RSA s_key = RSA.Create(2048);
    private readonly Core _core = new();

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task States_links_and_cookies_open_only_for_their_own_purpose()
    {
        var (state, cookie) = await _core.States.IssueAsync(new ConfirmedLink(1, _core.Clock.GetUtcNow(), "a customer"), None);
        var (link, _) = await _core.Links.IssueAsync("a customer", displayName: null, None);
        var (named, _) = await _core.Links.IssueAsync("a customer", "A customer", None);
        var texts = Gen.OneOf(
            HostileText.InHeader,
            Gen.Select(HostileText.Change, Gen.OneOf(state, cookie.Value, link, named)).Select((change, text) => change(text)));
        await texts.TryAsync(3_000, async text =>
        {
            Assert.Null(await _core.States.ReadStateAsync(text, None));
            Assert.Null(await _core.Links.ReadAsync(text, None));
            var (inFlight, useless) = await _core.States.ReadAllAsync([new(text, cookie.Value), new(cookie.Name, text), new(text, text)], None);

            // A cookie with another name is not read, nor are those after one that cannot be decrypted.
            Assert.All(inFlight, install => Assert.Equal((text, "a customer"), (install.Name, install.Install.Link?.Customer)));
            Assert.Contains(cookie.Name, useless);
            Assert.All(useless, name => Assert.Matches("^__Host-wix-install-[0-9a-f]{16}$", name));
        });
        Assert.Null(await _core.States.ReadStateAsync(link, None));
        Assert.Null(await _core.Links.ReadAsync(cookie.Value, None));
    }

    [Fact]
    public Task Any_webhook_body_is_read_without_an_exception()
    {
        var reader = Core.ReaderOf(Core.Read(("Wix__WebhookPublicKey", s_key.ExportSubjectPublicKeyInfoPem())), _core.Clock);
        var signed = Gen.Select(HostileJson.Object(HostileJson.Object(HostileJson.Text)), Gen.OneOf(HostileJson.Text, Gen.Const("""{"alg":"RS256"}""")), Gen.Bool)
            .Select((claims, header, alive) => Sign(header, alive ? $"{claims[..^1]}{(claims == "{}" ? "" : ",")}\"exp\":4000000000}}" : claims));
        return Gen.OneOf(HostileText.Body, signed).TryAsync(1_000, async body =>
        {
            var webhook = await reader.ReadAsync(body.AsMemory(0, Math.Min(body.Length, WebhookReader.MaxLength)), None);
            Assert.True(webhook is Webhook.Malformed or Webhook.Untrusted or Webhook.NotUsed or Webhook.OfAnotherApp or Webhook.Known);
            if (webhook is Webhook.Known known)
            {
                Assert.NotEqual(default, known.InstanceId);
                Assert.True(known.IssuedAt > DateTimeOffset.UnixEpoch);
            }
        });
    }

    [Theory]
    [InlineData("!.!.!")]
    [InlineData("e30.e3.x=")]
    [InlineData("e30.e30.!!")]
    [InlineData("eyJhbGciOiJSUzI1NiJ9.e30.")] // {"alg":"RS256"}, and no signature
    [InlineData("eyJhbGciOiJSUzI1NiJ9.e30.AA")]
    [InlineData("eyJcdWQ4MDAiOjF9.e30.")] // {"\ud800":1}
    [InlineData("eyJcdWQ4MDAiOjEsImFsZyI6IlJTMjU2In0.e30.AAAA")] // {"\ud800":1,"alg":"RS256"}
    public async Task A_webhook_that_is_not_text_is_refused(string body)
    {
        var reader = Core.ReaderOf(Core.Read(("Wix__WebhookPublicKey", s_key.ExportSubjectPublicKeyInfoPem())), _core.Clock);

        Assert.True(await reader.ReadAsync(Encoding.ASCII.GetBytes(body), None) is Webhook.Malformed or Webhook.Untrusted);
    }

    [Fact]
    public Task Any_body_from_Wix_is_read_without_an_exception()
    {
        // A longer one is not read and asked for again, which takes time: FaultTests have it.
        var json = HostileJson.Text.Select(Encoding.UTF8.GetBytes).Where(body => body.Length <= LongestBody);
        var bodies = Gen.Frequency(
            (6, json),
            (2, Gen.Byte.Array[0, 300]),
            (2, HostileText.Change.Select(change => Encoding.UTF8.GetBytes(change("""{"access_token":"a.eyJleHAiOjQwMDAwMDAwMDB9.c","refresh_token":"r","expires_in":300}""")))),
            (1, Gen.OneOf("a.!.c", "a.e30=.c", "a.eyJcdWQ4MDAiOjF9.c", "..").Select(token => Encoding.UTF8.GetBytes($$"""{"access_token":"{{token}}"}"""))));
        var statuses = Gen.OneOf(200, 200, 200, 200, 201, 204, 206, 301, 302, 307, 400, 401, 403, 404, 405, 408, 418, 429, 500, 501, 503, 504);
        return Gen.Select(bodies, statuses, Gen.OneOf("application/json", "text/html", "application/json; charset=utf-7", "image/png")).TryAsync(1_500, async (body, status, type) =>
        {
            // A separate client for each sample: one 429 opens the circuit that all of a process share.
            var clock = TestClock.New();
            using var wix = new StubWix();
            using var http = new HttpClient(wix);
            OutgoingHttp.Configure(http);
            var circuit = new WixCircuit(_core.Get<Instruments>(), clock, _core.Logs.For<WixCircuit>());
            var client = new WixClient(new WixTransport(http, http, circuit, _core.Get<WixMetrics>(), clock, _core.Logs.For<WixClient>()), _core.Settings);
            wix.Answer = (_, _, _) =>
            {
                var response = new HttpResponseMessage((HttpStatusCode)status) { Content = new ByteArrayContent(body) };
                response.Content.Headers.TryAddWithoutValidation("Content-Type", type);
                response.Headers.TryAddWithoutValidation("Location", "https://evil.example/");

                // Longer than the client waits by itself, so that no time has to pass.
                response.Headers.TryAddWithoutValidation("Retry-After", "77");
                return Task.FromResult(response);
            };
            var secret = new AppSecret("secret");
            foreach (var answer in new[]
            {
                await clock.RunAsync(client.ExchangeCodeAsync(new AuthorizationCode("c"), secret, None), s_step),
                await clock.RunAsync(client.RefreshAsync(new RefreshToken("r"), secret, None), s_step),
                await clock.RunAsync(client.RequestClientCredentialsTokenAsync(Core.NewId(), secret, None), s_step),
            })
            {
                if (answer is TokenAnswer.Granted granted)
                {
                    Assert.InRange(granted.ExpiresOn - granted.IssuedAt, TimeSpan.FromSeconds(1), WixClient.LongestLife);
                    Assert.All(granted.AccessToken.Reveal() + granted.RefreshToken?.Reveal(), c => Assert.InRange(c, '!', '~'));
                    Assert.InRange(status, 200, 299);
                }
            }

            await clock.RunAsync(client.SendSetupCompletedAsync(new AccessToken("a"), None), s_step);
            await clock.RunAsync(client.GetTokenInfoAsync(new AccessToken("a"), None), s_step);
            if (await clock.RunAsync(client.GetAppInstanceAsync(new AccessToken("a"), None), s_step) is { } instance)
            {
                Assert.All([instance.AppVersion, instance.Site?.Id, instance.Site?.Name, instance.Site?.Url], AssertStorable);
            }

            // Each is tried three times at most, and after a 429 not everything is asked for.
            Assert.InRange(wix.Calls.Count, status == 429 ? 2 : 6, 6 * 3);
        });
    }

    [Fact]
    public async Task A_site_name_that_is_cut_is_still_a_text()
    {
        var name = "x" + string.Concat(Enumerable.Repeat("\U0001F600", 600));
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Json(HttpStatusCode.OK, $$$"""{"instance":{},"site":{"siteDisplayName":"{{{name}}}"}}"""));

        var instance = await _core.Client.GetAppInstanceAsync(new AccessToken("a"), None);

        AssertStorable(instance?.Site?.Name);
        Assert.StartsWith(instance?.Site?.Name!, name, StringComparison.Ordinal);
    }

    [Fact]
    public Task A_row_is_an_instance_or_is_said_to_be_unreadable()
    {
        var changes = Gen.Select(Gen.Double[0, 1], AnyProperty).Array[0, 4];
        return changes.TryAsync(3_000, changed =>
        {
            var id = Core.NewId();
            var row = InstanceRow.Of(MakeInstance(id));
            var names = row.Keys.Where(name => name is not ("PartitionKey" or "RowKey" or "odata.etag")).Order(StringComparer.Ordinal).ToList();
            foreach (var (where, value) in changed)
            {
                row[names[(int)(where * (names.Count - 1))]] = value;
            }

            try
            {
                Assert.Equal(id, InstanceRow.Read(id, row).Id);
            }
            catch (InvalidDataException unreadable)
            {
                Assert.StartsWith($"The row 'i|{id}' of partition", unreadable.Message, StringComparison.Ordinal);
            }

            InstanceRows.ReadSummary(row);
            return Task.CompletedTask;
        });
    }

    [Fact]
    public Task A_redeemed_state_is_read_or_is_said_to_be_unreadable() =>
        Gen.Select(Gen.OneOf(s_consumedStateProperties), AnyProperty).TryAsync(1_000, (name, value) =>
        {
            var consumed = Samples.NewConsumedState();
            var row = InstanceRows.ToRow(consumed);
            row[name] = value;
            try
            {
                Assert.Equal(consumed.Nonce, InstanceRows.ToConsumedState(consumed.Nonce, consumed.IssuedAt, row).Nonce);
            }
            catch (InvalidDataException unreadable)
            {
                Assert.DoesNotContain(consumed.CodeFingerprint, unreadable.Message, StringComparison.Ordinal);
            }

            return Task.CompletedTask;
        });

    [Fact]
    public Task Keys_of_rows_and_cursors_are_ours_or_nothing()
    {
        var key = InstanceRows.DueKey(Samples.Noon, Core.NewId());
        var id = Core.NewId();
        var cursor = ListCursor.Write("active", id);
        return Gen.OneOf(HostileText.InHeader, HostileText.Change.Select(change => change(key)), HostileText.Change.Select(change => change(cursor))).TryAsync(3_000, text =>
        {
            InstanceRows.ReadDueKey(text);
            InstanceRows.ReadId(text);

            // The last character has two bits that mean nothing.
            Assert.True(!ListCursor.TryRead(text, "active", out var last) || last == id);
            Assert.False(ListCursor.TryRead(text, null, out _));
            InstanceRows.ToTally(new TableEntity(InstanceRows.ServiceShard, text) { ["Succeeded"] = 1, ["Failed"] = 1 });
            return Task.CompletedTask;
        });
    }

    private static Gen<object?> AnyProperty => Gen.OneOf(
        Gen.Const((object?)null)!,
        HostileText.InHeader.Select(text => (object?)text),
        Gen.OneOf("active", "removed", "ACTIVE", "rejected", "connected").Select(text => (object?)text),
        Gen.Int.Select(number => (object?)number),
        Gen.Long.Select(number => (object?)number),
        Gen.Double.Select(number => (object?)number),
        Gen.Bool.Select(flag => (object?)flag),
        Gen.Guid.Select(id => (object?)id),
        Gen.Byte.Array[0, 60].Select(bytes => (object?)bytes),
        Gen.Long[new DateTime(1601, 1, 1).Ticks, DateTime.MaxValue.Ticks].Select(ticks => (object?)new DateTimeOffset(ticks, TimeSpan.Zero)));

    // Every property set.
    private static Instance MakeInstance(InstanceId id)
    {
        var instance = Samples.NewInstance(id);
        foreach (var property in Samples.PropertiesOf<Instance>().Where(property => property.Name != nameof(Instance.Id)))
        {
            property.SetValue(instance, Samples.ValueOf(property.Name, property.PropertyType));
        }

        return instance;
    }

    private static void AssertStorable(string? text)
    {
        Assert.InRange(text?.Length ?? 0, 0, 1_000);
        new UTF8Encoding(false, throwOnInvalidBytes: true).GetByteCount(text ?? "");
    }

    private static byte[] Sign(string header, string claims)
    {
        var signed = $"{Base64Url.EncodeToString(Encoding.UTF8.GetBytes(header))}.{Base64Url.EncodeToString(Encoding.UTF8.GetBytes(claims))}";
        lock (s_key)
        {
            var signature = s_key.SignData(Encoding.ASCII.GetBytes(signed), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
            return Encoding.ASCII.GetBytes($"{signed}.{Base64Url.EncodeToString(signature)}");
        }
    }
}

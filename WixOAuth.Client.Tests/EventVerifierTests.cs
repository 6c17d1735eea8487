using System.Text;
using Microsoft.Extensions.Time.Testing;
using StandardWebhooks;

namespace WixOAuth.Client.Tests;

/// <summary>The verifier against the Standard Webhooks package, as an independent signer.</summary>
public sealed class EventVerifierTests
{
    private const string Secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    private const string OtherSecret = "whsec_/////////////////////////////////w==";

    private static readonly DateTimeOffset s_now = new(2026, 5, 4, 3, 7, 1, TimeSpan.Zero);

    private static readonly string s_body = """
        {"specversion":"1.0","id":"e-1","source":"https://tokens.example","type":"instance.connected","time":"2026-05-04T03:07:00Z",
         "subject":"0f0e0d0c-0b0a-4a0b-8c0d-0e0f00000002","datacontenttype":"application/json","data":{"instance_id":"0f0e0d0c-0b0a-4a0b-8c0d-0e0f00000002",
         "customer":"ann","site":{"id":"s","name":"Ann's Café","url":"https://ann.example/"},"reason":null,"later":1}}
        """;

    private readonly FakeTimeProvider _time = new(s_now);

    [Fact]
    public void A_signed_event_is_read()
    {
        var read = Verify(Secret, s_body, Sign(Secret, s_body));
        Assert.Equal(
            ("e-1", WixOAuthEventTypes.InstanceConnected, "https://tokens.example", s_now.AddSeconds(-1)),
            (read.Id, read.Type, read.Source, read.Time!.Value));
        Assert.Equal((read.Subject, "ann", "Ann's Café", null), (read.Data!.InstanceId.ToString(), read.Data.Customer, read.Data.Site!.Name, read.Data.Reason));
    }

    [Fact]
    public void Any_of_several_secrets_and_signatures_is_enough()
    {
        Verify($"{OtherSecret} {Secret}", s_body, Sign(Secret, s_body));
        Verify(Secret, s_body, $"v1a,AAAA v1,not-base64 {Sign(OtherSecret, s_body)} {Sign(Secret, s_body)}");
    }

    [Fact]
    public void Another_body_id_time_secret_or_signature_is_refused()
    {
        var signature = Sign(Secret, s_body);
        Refused(s_body.Replace("ann", "bob", StringComparison.Ordinal), signature);
        Refused(s_body, Sign(OtherSecret, s_body));
        Refused(s_body, "");
        Refused(s_body, "v1,");
        Refused(s_body, signature.Replace("v1,", "v2,", StringComparison.Ordinal));
        Assert.Throws<EventVerificationException>(() => Verifier(Secret).Verify(Encoding.UTF8.GetBytes(s_body), "e-2", Timestamp(s_now), signature));
        Assert.Throws<EventVerificationException>(() => Verifier(Secret).Verify(Encoding.UTF8.GetBytes(s_body), "e-1", Timestamp(s_now.AddSeconds(1)), signature));
    }

    [Theory]
    [InlineData(-301, false)]
    [InlineData(-300, true)]
    [InlineData(300, true)]
    [InlineData(301, false)]
    public void The_time_of_sending_lies_within_five_minutes(int seconds, bool accepted)
    {
        var at = s_now.AddSeconds(seconds);
        var thrown = Record.Exception(() => Verifier(Secret).Verify(Encoding.UTF8.GetBytes(s_body), "e-1", Timestamp(at), Sign(Secret, s_body, at)));
        Assert.Equal(accepted, thrown is null);
        Assert.True(accepted || thrown is EventVerificationException);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("-1")]
    [InlineData("1e9")]
    [InlineData("99999999999999999999")]
    [InlineData("9223372036854775807")]
    public void A_malformed_time_is_refused(string? timestamp) =>
        Assert.Throws<EventVerificationException>(() => Verifier(Secret).Verify(Encoding.UTF8.GetBytes(s_body), "e-1", timestamp, Sign(Secret, s_body)));

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("""{"specversion":"0.3","id":"e-1","type":"t"}""")]
    [InlineData("""{"specversion":"1.0","type":"t"}""")]
    [InlineData("""{"specversion":"1.0","id":"e-1","type":"t","data":{"instance_id":"no"}}""")]
    public void A_signed_body_that_is_no_event_is_refused(string body) => Refused(body, Sign(Secret, body));

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("whsec_")]
    [InlineData("whsec_AAAA")]
    [InlineData("whsec_not base64 at all, but long enough to be")]
    public void A_bad_secret_is_refused_and_not_quoted(string secret)
    {
        var thrown = Assert.Throws<ArgumentException>(() => new EventVerifier(secret));
        Assert.DoesNotContain("AAAA", thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Secrets_have_24_to_64_bytes()
    {
        _ = new EventVerifier("whsec_" + Convert.ToBase64String(new byte[24]));
        _ = new EventVerifier("whsec_" + Convert.ToBase64String(new byte[64]));
        Assert.Throws<ArgumentException>(() => new EventVerifier("whsec_" + Convert.ToBase64String(new byte[23])));
        Assert.Throws<ArgumentException>(() => new EventVerifier("whsec_" + Convert.ToBase64String(new byte[65])));
    }

    private static string Timestamp(DateTimeOffset at) => at.ToUnixTimeSeconds().ToString(System.Globalization.CultureInfo.InvariantCulture);

    private static string Sign(string secret, string body, DateTimeOffset? at = null) =>
        new StandardWebhook(secret).Sign("e-1", at ?? s_now, body);

    private EventVerifier Verifier(string secret) => new(secret, _time);

    private WixOAuthEvent Verify(string secret, string body, string signature)
    {
        var headers = new Dictionary<string, string?> { ["webhook-id"] = "e-1", ["webhook-timestamp"] = Timestamp(s_now), ["webhook-signature"] = signature };
        return Verifier(secret).Verify(Encoding.UTF8.GetBytes(body), name => headers.GetValueOrDefault(name));
    }

    private void Refused(string body, string signature) => Assert.Throws<EventVerificationException>(() => Verify(Secret, body, signature));
}

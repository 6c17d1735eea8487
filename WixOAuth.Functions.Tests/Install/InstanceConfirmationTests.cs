using WixOAuth.Functions.Tests.Support;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Install;

public sealed class InstanceConfirmationTests
{
    private const string AppId = "0f0e0d0c-0b0a-4a0b-8c0d-0e0f00000001";
    private static readonly InstanceId Claimed = Core.NewId();
    private static readonly InstanceId Other = Core.NewId();

    private static readonly (string Name, TokenInfo? Info, AppInstance? Instance, ConfirmationOutcome Expected)[] s_cases =
    [
        ("both agree", Info(true, AppId, Claimed), App(Claimed), ConfirmationOutcome.Confirmed),
        ("app id in capitals", Info(true, AppId.ToUpperInvariant(), Claimed), App(Claimed), ConfirmationOutcome.Confirmed),
        ("token-info alone", Info(true, AppId, Claimed), null, ConfirmationOutcome.Confirmed),
        ("Get App Instance alone", null, App(Claimed), ConfirmationOutcome.Confirmed),
        ("token-info without an app", Info(true, null, Claimed), App(Claimed), ConfirmationOutcome.Confirmed),
        ("token-info without an app, alone", Info(true, null, Claimed), null, ConfirmationOutcome.Unknown),
        ("token-info without anything, alone", Info(null, null, null), null, ConfirmationOutcome.Unknown),
        ("no answer", null, null, ConfirmationOutcome.Unknown),
        ("Get App Instance without an instance", null, App(null), ConfirmationOutcome.Unknown),
        ("another app", Info(true, Claimed.ToString(), Claimed), App(Claimed), ConfirmationOutcome.Refused),
        ("token-info names another instance", Info(true, AppId, Other), null, ConfirmationOutcome.Refused),
        ("Get App Instance names another instance", null, App(Other), ConfirmationOutcome.Refused),
        ("token-info contradicts Get App Instance", Info(true, AppId, Other), App(Claimed), ConfirmationOutcome.Refused),
        ("Get App Instance contradicts token-info", Info(true, AppId, Claimed), App(Other), ConfirmationOutcome.Refused),
        ("inactive", Info(false, null, null), null, ConfirmationOutcome.Refused),
        ("inactive, but it works", Info(false, null, null), App(Claimed), ConfirmationOutcome.Unknown),
        ("inactive, and of another instance", Info(false, null, null), App(Other), ConfirmationOutcome.Refused),
    ];

    public static TheoryData<string> Cases => [.. s_cases.Select(each => each.Name)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_token_is_confirmed_only_where_nothing_contradicts_the_claim(string name)
    {
        var (_, info, instance, expected) = s_cases.Single(each => each.Name == name);
        Assert.Equal(expected, InstanceConfirmation.Decide(info, instance, Claimed, AppId));
    }

    private static TokenInfo Info(bool? active, string? clientId, InstanceId? id) => new(active, clientId, id, null);

    private static AppInstance App(InstanceId? id) => new(id, null, null);
}

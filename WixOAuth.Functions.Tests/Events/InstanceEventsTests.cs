using System.Reflection;
using WixOAuth.Events;
using WixOAuth.Functions.Tests.Storage;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Events;

/// <summary>Every transition of an instance, and the events that it causes.</summary>
public sealed class InstanceEventsTests
{
    private static readonly DateTimeOffset Now = Samples.Noon;
    private static readonly InstanceId Id = Samples.NewId();
    private static readonly ProtectedText Text = new("key", new byte[] { 1, 2, 3 });
    private static readonly ProtectedTokens Tokens = new(7, Text, Text, Now, Now.AddMinutes(5));
    private static readonly Consent Consent = new("acme", null, null, null, false);

    private static readonly Instance Connected = Instance.Consented(null, Id, Consent, Tokens, "first", Now);
    private static readonly Instance Lost = Connected.Marked(Now);
    private static readonly Instance Removed = Instance.AppRemoved(Connected, Id, Now.AddDays(1), false, Now);
    private static readonly Instance Again =
        Instance.Consented(Connected, Id, Consent with { Customer = null, WixIssuedAt = Now.AddDays(2) }, Tokens, "again", Now.AddDays(2));

    private static readonly Instance Doubted = Instance.AppRemoved(Again, Id, Now.AddDays(3), false, Now.AddDays(3));
    private static readonly Instance LostLate = Instance.AppRemoved(Again.Marked(Now.AddDays(2)), Id, Now.AddDays(1), false, Now.AddDays(3));
    private static readonly Instance Clone = Instance.AppInstalled(null, Id, Now, mayUseClientCredentials: true, sendSetupCompleted: false, Now);

    /// <summary>The name of the transition, the records around it, and its events as "type reason".</summary>
    private static readonly (string Transition, Instance? Before, Instance After, string[] Events)[] s_table =
    [
        (nameof(Instance.Consented), null, Connected, ["Connected consent"]),
        (nameof(Instance.Consented), Connected, Instance.Consented(Connected, Id, Consent, Tokens, "second", Now), ["Reconnected consent"]),
        (nameof(Instance.Consented), Lost, Instance.Consented(Lost, Id, Consent, Tokens, "second", Now), ["Reconnected consent"]),
        (nameof(Instance.Consented), Connected, Instance.Consented(Connected, Id, Consent with { Customer = "other" }, Tokens, "second", Now), ["Reconnected consent", "CustomerConflict consent"]),
        (nameof(Instance.Consented), Removed, Instance.Consented(Removed, Id, Consent, Tokens, "second", Now), ["Connected consent"]),
        (nameof(Instance.Consented), Clone, Instance.Consented(Clone, Id, Consent, Tokens, "second", Now), ["Connected consent"]),
        (nameof(Instance.Imported), null, Import(null, Now), ["Connected import"]),
        (nameof(Instance.Imported), Removed, Import(Removed, Now), ["Connected import"]),
        (nameof(Instance.Imported), Connected, Import(Connected, Now), ["Reconnected import"]),
        (nameof(Instance.Imported), Lost, Import(Lost, Now), ["Reconnected import"]),
        (nameof(Instance.Refreshed), Import(null, Now), Import(null, Now).Refreshed(Grant.RefreshToken, Tokens, null, "commit", Now), []),
        (nameof(Instance.Leased), Connected, Connected.Leased("attempt", Now), []),
        (nameof(Instance.Refreshed), Connected, Connected.Refreshed(Grant.RefreshToken, Tokens, null, "commit", Now), []),
        (nameof(Instance.Refreshed), Clone, Clone.Refreshed(Grant.ClientCredentials, Tokens, null, "commit", Now), ["Connected app_installed"]),
        (nameof(Instance.Refreshed), Lost, Lost.Refreshed(Grant.RefreshToken, Tokens, null, "commit", Now), ["Recovered token_accepted"]),
        (nameof(Instance.Failed), Connected, Connected.Failed(TokenError.Rejected, null, Now, Now), []),
        (nameof(Instance.Marked), Connected, Lost, ["ReinstallRequired rejected"]),
        (nameof(Instance.Marked), Lost, Lost.Marked(Now.AddDays(1)), []),
        (nameof(Instance.MadeDue), Lost, Lost.MadeDue(Now), []),
        (nameof(Instance.WithCustomer), Connected, Connected.WithCustomer("other", Now), []),
        (nameof(Instance.WithCustomer), Doubted, Doubted.WithCustomer(null, Now), []),
        (nameof(Instance.Erased), Removed, Removed.Erased(), []),
        (nameof(Instance.SetupCompleted), Connected, Connected.SetupCompleted(Now), ["SetupCompleted wix_accepted"]),
        (nameof(Instance.Described), Clone, Clone.Described(new Site("s", "n", null), "1", Now), []),
        (nameof(Instance.AppInstalled), null, Clone, []),
        (nameof(Instance.AppInstalled), Removed, Instance.AppInstalled(Removed, Id, Now.AddDays(2), mayUseClientCredentials: true, sendSetupCompleted: false, Now), []),
        (nameof(Instance.AppInstalled), null, Instance.AppInstalled(null, Id, Now, mayUseClientCredentials: false, sendSetupCompleted: false, Now), ["ReinstallRequired not_consented"]),
        (nameof(Instance.AppRemoved), Connected, Removed, ["Removed app_removed"]),
        (nameof(Instance.AppRemoved), null, Instance.AppRemoved(null, Id, Now, false, Now), []),
        (nameof(Instance.AppRemoved), Removed, Instance.AppRemoved(Removed, Id, Now.AddDays(3), false, Now), []),
        (nameof(Instance.AppRemoved), Again, Instance.AppRemoved(Again, Id, Now.AddDays(1), false, Now.AddDays(3)), ["Connected late_removal"]),
        (nameof(Instance.AppRemoved), Again, Doubted, []),
        (nameof(Instance.AppRemoved), Again.Marked(Now.AddDays(2)), LostLate, []),
        (nameof(Instance.Consented), LostLate, Instance.Consented(LostLate, Id, Consent, Tokens, "third", Now.AddDays(4)), ["Connected consent"]),
        (nameof(Instance.AppInstalled), Doubted, Instance.AppInstalled(Doubted, Id, Now.AddDays(4), true, false, Now.AddDays(4)), ["Connected late_removal"]),
        (nameof(Instance.Forget), Connected, Instance.Forget(Connected, Id, Now), ["Removed forgotten"]),
        (nameof(Instance.Forget), Removed, Instance.Forget(Removed, Id, Now), []),
        (nameof(Instance.RemovalConfirmed), Connected, Connected.RemovalConfirmed(Now), ["Removed app_removed"]),
        (nameof(Instance.RemovalRefuted), Connected, Connected.RemovalRefuted(), []),
        (nameof(Instance.WithTokenTimesMoved), Connected, Connected.WithTokenTimesMoved(TimeSpan.FromHours(1)), []),
    ];

    private static Instance Import(Instance? before, DateTimeOffset now) =>
        Instance.Imported(before, Id, new ImportedSite(null, null, Revive: true, null, null), Tokens, "import", now);

    public static TheoryData<int> Rows => [.. Enumerable.Range(0, s_table.Length)];

    [Theory]
    [MemberData(nameof(Rows))]
    public void A_transition_causes_the_events_of_the_table(int row)
    {
        var (_, before, after, events) = s_table[row];

        Assert.Equal(events, InstanceEvents.Between(before, after).Select(each => $"{each.Type} {each.Reason}"));
    }

    [Fact]
    public void Every_transition_has_a_row_in_the_table() => Assert.Equal(
        typeof(Instance).GetMethods(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly)
            .Where(method => method.ReturnType == typeof(Instance) && (method.IsPublic || method.IsAssembly) && !method.Name.StartsWith('<'))
            .Select(method => method.Name)
            .Distinct()
            .Order(),
        s_table.Select(row => row.Transition).Distinct().Order());

    [Fact]
    public void Every_write_of_a_connected_instance_without_a_transition_causes_no_event() =>
        Assert.Empty(InstanceEvents.Between(Connected, Connected with { DueAt = Now, LastUsedAt = Now }));
}

using System.Text.RegularExpressions;
using WixOAuth.Functions.Tests.Support;

namespace WixOAuth.Functions.Tests.Conventions;

public sealed partial class LogTests
{
    /// <summary>Alerts and runbooks find a message by its event id.</summary>
    [Fact]
    public void Each_log_message_of_the_core_has_its_own_event_id()
    {
        var ids = Repository.Sources("WixOAuth")
            .SelectMany(file => EventId().Matches(File.ReadAllText(file)).Select(match => match.Groups[1].Value))
            .ToList();

        Assert.True(ids.Count > 30);
        Assert.Empty(ids.GroupBy(id => id).Where(same => same.Count() > 1).Select(same => same.Key));
    }

    [GeneratedRegex(@"\[LoggerMessage\((\d+),")]
    private static partial Regex EventId();
}

using System.Globalization;

namespace WixOAuth.Load;

/// <summary>What the whole machine does, others' programs included.</summary>
internal static class Machine
{
    /// <summary>The processor time that all programs have used together since the machine started; null where only Linux would tell.</summary>
    public static TimeSpan? BusyTime()
    {
        const string Statistics = "/proc/stat";
        const double TicksPerSecond = 100;
        if (!File.Exists(Statistics))
        {
            return null;
        }

        // "cpu  user nice system idle iowait irq softirq ...", in hundredths of a second.
        var fields = File.ReadLines(Statistics).First().Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Skip(1).Select(field => long.Parse(field, CultureInfo.InvariantCulture)).ToList();
        return TimeSpan.FromSeconds((fields[0] + fields[1] + fields[2] + fields[5] + fields[6]) / TicksPerSecond);
    }
}

using System.Diagnostics;
using System.Globalization;

namespace WixOAuth.Load;

/// <summary>What the whole machine does, others' programs included.</summary>
internal static class Machine
{
    /// <summary>
    /// How long the threads of some processes have been ready to run and had no processor, together; null where only
    /// Linux would tell. Of a thread that has ended nothing is known any more.
    /// </summary>
    public static TimeSpan? WaitForProcessor(IEnumerable<int> processes)
    {
        const double NanosecondsPerTick = 100;
        if (!File.Exists("/proc/self/schedstat"))
        {
            return null;
        }

        // "time on a processor, time ready to run, number of turns", in nanoseconds.
        var waits = processes.SelectMany(process => Directory.EnumerateDirectories($"/proc/{process}/task"))
            .Select(task => ReadIfThere(Path.Combine(task, "schedstat")).Split(' '))
            .Sum(fields => fields is [_, var waited, ..] ? long.Parse(waited, CultureInfo.InvariantCulture) : 0);
        return TimeSpan.FromTicks((long)(waits / NanosecondsPerTick));
    }

    /// <summary>The processor time that a process has used. Azurite does one thing at a time, so a second in a second is its limit.</summary>
    public static TimeSpan TimeOf(int process)
    {
        using var asked = Process.GetProcessById(process);
        return asked.TotalProcessorTime;
    }

    private static string ReadIfThere(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (IOException)
        {
            // The thread has ended meanwhile.
            return "";
        }
    }

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

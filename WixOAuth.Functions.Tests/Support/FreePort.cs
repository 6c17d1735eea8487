using System.Net;
using System.Net.Sockets;

namespace WixOAuth.Functions.Tests.Support;

internal static class FreePort
{
    // A part of the range for each test project: they run at once, and a port is bound some time after it was found free.
    private static readonly int s_first = 20_000 + (4_000 * (AppContext.BaseDirectory.Contains("Browser.Tests", StringComparison.Ordinal) ? 2
        : AppContext.BaseDirectory.Contains("Programs.Tests", StringComparison.Ordinal) ? 1
        : 0));

    /// <summary>
    /// A port of this machine that is free now, on either loopback: for URLs that have to be known before the
    /// start. From below the range that systems take the ports of outgoing connections from, or such a connection,
    /// a browser's for instance, could have it by then.
    /// </summary>
    public static int Next()
    {
        while (true)
        {
            var port = Random.Shared.Next(s_first, s_first + 4_000);
            if (IsFree(IPAddress.Loopback, port) && IsFree(IPAddress.IPv6Loopback, port))
            {
                return port;
            }
        }
    }

    private static bool IsFree(IPAddress address, int port)
    {
        try
        {
            using var listener = new TcpListener(address, port);
            listener.Start();
            return true;
        }
        catch (SocketException error)
        {
            // A machine without IPv6 has no listener there.
            return error.SocketErrorCode is SocketError.AddressNotAvailable or SocketError.AddressFamilyNotSupported;
        }
    }
}

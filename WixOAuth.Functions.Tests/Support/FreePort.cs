using System.Net;
using System.Net.Sockets;

namespace WixOAuth.Functions.Tests.Support;

internal static class FreePort
{
    /// <summary>
    /// A port of this machine that is free now, on either loopback: for URLs that have to be known before the
    /// start. From below the range that systems take the ports of outgoing connections from, or such a connection,
    /// a browser's for instance, could have it by then.
    /// </summary>
    public static int Next()
    {
        while (true)
        {
            var port = Random.Shared.Next(20_000, 32_000);
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

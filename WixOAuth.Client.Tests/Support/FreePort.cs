using System.Net;
using System.Net.Sockets;

namespace WixOAuth.Client.Tests.Support;

internal static class FreePort
{
    /// <summary>
    /// An address of this machine whose port is free now. From below the range that systems take the ports of outgoing
    /// connections from, or such a connection could have it by the time a service is started there again.
    /// </summary>
    public static string NextUrl()
    {
        while (true)
        {
            var port = Random.Shared.Next(16_000, 20_000);
            try
            {
                using var listener = new TcpListener(IPAddress.Loopback, port);
                listener.Start();
                return $"http://127.0.0.1:{port}";
            }
            catch (SocketException)
            {
                // Taken: the next one.
            }
        }
    }
}

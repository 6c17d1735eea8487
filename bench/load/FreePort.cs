using System.Net;
using System.Net.Sockets;

namespace WixOAuth.Load;

internal static class FreePort
{
    /// <summary>A port that is free now, for a process whose start is timed from outside.</summary>
    public static int Next()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}

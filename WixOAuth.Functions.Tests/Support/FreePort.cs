using System.Net;
using System.Net.Sockets;

namespace WixOAuth.Functions.Tests.Support;

public static class FreePort
{
    /// <summary>A port of this machine that nobody listens on now: for URLs that have to be known before the start.</summary>
    public static int Next()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}

using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace WixOAuth.Local;

/// <summary>
/// The addresses to serve on. They are looked at before anything is started: the Redirect URL and the pretend Wix need
/// the port, and a port in use should be said at once.
/// </summary>
/// <param name="Urls">The URLs for Kestrel.</param>
/// <param name="BaseUrl">Where a browser on this machine finds the first of them, without a slash at the end.</param>
internal sealed record ListenAddresses(IReadOnlyList<string> Urls, string BaseUrl)
{
    /// <summary>Reads addresses such as <c>http://localhost:7071</c>, separated by semicolons; port 0 becomes a free one.</summary>
    /// <exception cref="StartFailedException">An address is invalid or in use.</exception>
    public static ListenAddresses Find(string urls)
    {
        var found = urls.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(FindOne).ToList();
        return found is [var first, ..]
            ? new ListenAddresses([.. found.Select(address => $"http://{address.Host}:{Text(address.Port)}")], $"http://{Reachable(first.Host)}:{Text(first.Port)}")
            : throw NotAnAddress(urls);
    }

    /// <summary>
    /// Where the pretend Wix listens: the port after the service's, so that its address is the same at each start; a free
    /// one when that port is in use, or when the service itself listens on any free port.
    /// </summary>
    public static Uri FindNext(string serviceUrl, string urls)
    {
        var port = new Uri(serviceUrl).Port + 1;
        if (BindingAddress.Parse(urls.Split(';')[0].Trim()).Port != 0)
        {
            try
            {
                using var listener = new TcpListener(IPAddress.Loopback, port);
                listener.Start();
                return new Uri($"http://127.0.0.1:{Text(port)}");
            }
            catch (Exception exception) when (exception is SocketException or ArgumentOutOfRangeException)
            {
                // In use: another one will do.
            }
        }

        return new Uri("http://127.0.0.1:0");
    }

    private static (string Host, int Port) FindOne(string url)
    {
        BindingAddress address;
        try
        {
            address = BindingAddress.Parse(url);
        }
        catch (FormatException)
        {
            throw NotAnAddress(url);
        }

        if (address.Scheme != Uri.UriSchemeHttp || address.IsUnixPipe || address.IsNamedPipe || address.PathBase.Length > 0)
        {
            throw NotAnAddress(url);
        }

        var port = address.Port;
        foreach (var ip in AddressesOf(address.Host))
        {
            port = Probe(ip, port, url);
        }

        return (address.Host, port);
    }

    private static int Probe(IPAddress ip, int port, string url)
    {
        try
        {
            using var listener = new TcpListener(ip, port);
            listener.Start();
            return ((IPEndPoint)listener.LocalEndpoint).Port;
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            throw new StartFailedException($"{url} is in use by another program: stop that one, or give this one another address with --urls.", exception);
        }
        catch (SocketException) when (ip.Equals(IPAddress.IPv6Loopback))
        {
            // A machine without IPv6 is served on IPv4 only.
            return port;
        }
        catch (SocketException exception)
        {
            throw new StartFailedException($"{url} cannot be served on: {exception.Message}", exception);
        }
    }

    // As Kestrel takes them: localhost is both loopback addresses, and what is no IP address means all.
    private static IPAddress[] AddressesOf(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase) ? [IPAddress.Loopback, IPAddress.IPv6Loopback]
        : IPAddress.TryParse(host, out var ip) ? [ip]
        : [IPAddress.Any];

    private static string Reachable(string host) =>
        !IPAddress.TryParse(host, out var ip) || ip.Equals(IPAddress.Any) || ip.Equals(IPAddress.IPv6Any) ? "localhost" : host;

    private static string Text(int port) => port.ToString(CultureInfo.InvariantCulture);

    private static StartFailedException NotAnAddress(string url) => new($"urls should be addresses such as http://localhost:7071, not '{url}'.");
}

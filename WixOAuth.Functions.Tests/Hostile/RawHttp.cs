using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace WixOAuth.Functions.Tests.Hostile;

/// <summary>An answer as it came over the wire.</summary>
/// <param name="Status">The status code.</param>
/// <param name="Headers">Each header line, in its order; a name may come more than once.</param>
/// <param name="Body">The bytes that <c>Content-Length</c> announces.</param>
internal sealed record RawAnswer(int Status, IReadOnlyList<(string Name, string Value)> Headers, byte[] Body)
{
    public string? Header(string name) =>
        Headers.Where(header => header.Name.Equals(name, StringComparison.OrdinalIgnoreCase)).Select(header => header.Value).SingleOrDefault();
}

/// <summary>HTTP/1.1 byte by byte: a client of the framework would put right what is wrong, or refuse to send it.</summary>
internal static class RawHttp
{
    /// <summary>Far beyond what any answer takes on a busy machine.</summary>
    private static readonly TimeSpan s_hang = TimeSpan.FromMinutes(2);

    /// <summary>Has the server give up no request before this does: otherwise its end would hide a hang.</summary>
    public static void BePatient(KestrelServerOptions server) =>
        (server.Limits.RequestHeadersTimeout, server.Limits.KeepAliveTimeout) = (s_hang * 2, s_hang * 2);

    /// <summary>
    /// Sends a request and reads the first answer; null when the server hung up without one.
    /// </summary>
    /// <param name="server">Where to.</param>
    /// <param name="request">The bytes of the request.</param>
    /// <param name="endsThere">Whether to tell the server that no more comes, for a request that it may find incomplete.</param>
    /// <exception cref="TimeoutException">Neither an answer nor an end came.</exception>
    public static async Task<RawAnswer?> SendAsync(Uri server, ReadOnlyMemory<byte> request, bool endsThere = false)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(server.Host, server.Port);

        // Read while writing: a request that is too long is refused before its end.
        var reading = ReadAsync(socket);
        try
        {
            await socket.SendAsync(request).AsTask().WaitAsync(s_hang);
            if (endsThere)
            {
                socket.Shutdown(SocketShutdown.Send);
            }
        }
        catch (SocketException)
        {
        }

        return await reading.WaitAsync(s_hang);
    }

    private static async Task<RawAnswer?> ReadAsync(Socket socket)
    {
        var received = new MemoryStream();
        var buffer = new byte[16 * 1024];
        while (true)
        {
            if (Parse(received.GetBuffer().AsSpan(0, (int)received.Length)) is { } answer)
            {
                return answer;
            }

            try
            {
                var length = await socket.ReceiveAsync(buffer);
                if (length == 0)
                {
                    return received.Length == 0 ? null : throw new InvalidDataException("The answer broke off.");
                }

                received.Write(buffer, 0, length);
            }
            catch (SocketException)
            {
                return null;
            }
        }
    }

    private static RawAnswer? Parse(ReadOnlySpan<byte> bytes)
    {
        var end = bytes.IndexOf("\r\n\r\n"u8);
        if (end < 0)
        {
            return null;
        }

        var lines = Encoding.Latin1.GetString(bytes[..end]).Split("\r\n");
        var status = int.Parse(lines[0].Split(' ')[1], CultureInfo.InvariantCulture);
        var headers = lines.Skip(1).Select(line => (Name: line.Split(':')[0], Value: line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim(' '))).ToList();
        var length = headers.Where(header => header.Name == "Content-Length").Select(header => int.Parse(header.Value, CultureInfo.InvariantCulture)).SingleOrDefault();
        var body = bytes[(end + 4)..];
        return body.Length >= length ? new RawAnswer(status, headers, body[..length].ToArray()) : null;
    }
}

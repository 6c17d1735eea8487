using System.Buffers.Text;
using System.Net;
using System.Net.Sockets;
using System.Text;
using WixOAuth.Processes;

namespace WixOAuth.Load;

/// <summary>
/// A client on one connection that stays open. Bare sockets: a client that costs more than the server would hide what
/// the server costs.
/// </summary>
internal sealed class Caller : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly byte[] _buffer = new byte[32 * 1024];
    private Range _body;

    /// <summary>The body of the last answer.</summary>
    public ReadOnlySpan<byte> Body => _buffer.AsSpan(_body);

    public static byte[] Get(Uri service, string path) => Encoding.ASCII.GetBytes(
        $"GET {path} HTTP/1.1\r\nHost: {service.Authority}\r\nx-functions-key: {Surroundings.FunctionKey}\r\n\r\n");

    public static byte[] GetToken(Uri service, Guid instanceId) => Get(service, $"/api/instances/{instanceId}/token");

    public static byte[] Post(Uri service, string path) => Encoding.ASCII.GetBytes(
        $"POST {path} HTTP/1.1\r\nHost: {service.Authority}\r\nx-functions-key: {Surroundings.FunctionKey}\r\nContent-Length: 0\r\n\r\n");

    public static async Task<Caller> ConnectAsync(Uri service, CancellationToken cancellationToken)
    {
        var caller = new Caller();
        try
        {
            await caller._socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, service.Port), cancellationToken);
            return caller;
        }
        catch
        {
            caller.Dispose();
            throw;
        }
    }

    /// <summary>Sends a request and reads its whole answer.</summary>
    /// <returns>The status.</returns>
    public async ValueTask<int> AskAsync(ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        await _socket.SendAsync(request, cancellationToken);
        for (var length = 0; ;)
        {
            var read = await _socket.ReceiveAsync(_buffer.AsMemory(length), cancellationToken);
            if (read == 0)
            {
                throw new IOException("The connection was closed in the middle of an answer.");
            }

            length += read;
            if (TryRead(length, out var status))
            {
                return status;
            }
        }
    }

    /// <summary>Sends a request whose answer has to be a good one.</summary>
    public async Task AskWellAsync(ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        var status = await AskAsync(request, cancellationToken);
        if (status is < 200 or > 399)
        {
            throw new InvalidOperationException($"Answered {status}.");
        }
    }

    public void Dispose() => _socket.Dispose();

    private bool TryRead(int length, out int status)
    {
        status = 0;
        var answer = _buffer.AsSpan(0, length);
        var end = answer.IndexOf("\r\n\r\n"u8);
        if (end < 0)
        {
            return false;
        }

        var head = answer[..end];
        var name = "\r\nContent-Length: "u8;
        var at = head.IndexOf(name);
        if (at < 0 && head.IndexOf("\r\nTransfer-Encoding: chunked"u8) >= 0)
        {
            // Such a body is not read.
            _body = default;
            return answer.EndsWith("\r\n0\r\n\r\n"u8) && Utf8Parser.TryParse(head[9..], out status, out _);
        }

        var bodyLength = 0;
        if (at >= 0 && !Utf8Parser.TryParse(head[(at + name.Length)..], out bodyLength, out _))
        {
            throw new InvalidDataException("That is no answer of HTTP.");
        }

        _body = (end + 4)..(end + 4 + bodyLength);
        return length >= _body.End.Value && Utf8Parser.TryParse(head[9..], out status, out _);
    }
}

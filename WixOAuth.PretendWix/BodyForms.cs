using System.IO.Compression;
using System.Text;

namespace WixOAuth.PretendWix;

/// <summary>Writes a body in a form that its reader did not ask for.</summary>
internal static class BodyForms
{
    public static byte[] Encode(HttpResponse response, BodyForm form, string body)
    {
        switch (form)
        {
            case BodyForm.ByteOrderMark:
                return [.. Encoding.UTF8.GetPreamble(), .. Encoding.UTF8.GetBytes(body)];

            case BodyForm.Utf16:
                response.ContentType += "; charset=utf-16";
                return [.. Encoding.Unicode.GetPreamble(), .. Encoding.Unicode.GetBytes(body)];

            case BodyForm.Gzip:
                return Compress("gzip", to => new GZipStream(to, CompressionLevel.Fastest));

            // HTTP's deflate is zlib's format (RFC 9110 §8.4.1.2).
            case BodyForm.Deflate:
                return Compress("deflate", to => new ZLibStream(to, CompressionLevel.Fastest));

            case BodyForm.Brotli:
                return Compress("br", to => new BrotliStream(to, CompressionLevel.Fastest));

            default:
                return Encoding.UTF8.GetBytes(body);
        }

        byte[] Compress(string name, Func<Stream, Stream> compressTo)
        {
            response.Headers.ContentEncoding = name;
            using var buffer = new MemoryStream();
            using (var compressed = compressTo(buffer))
            {
                compressed.Write(Encoding.UTF8.GetBytes(body));
            }

            return buffer.ToArray();
        }
    }
}

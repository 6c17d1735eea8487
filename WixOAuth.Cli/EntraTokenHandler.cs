using System.Net.Http.Headers;
using Azure.Core;
using Azure.Identity;

namespace WixOAuth.Cli;

/// <summary>
/// Sends the Entra ID token that a service behind Easy Auth asks for. The token is kept until shortly before its end: the
/// Azure CLI's credential starts a process for each one.
/// </summary>
internal sealed class EntraTokenHandler(Lazy<TokenCredential> credential, string scope, TimeProvider time, HttpMessageHandler inner) : DelegatingHandler(inner)
{
    private static readonly TimeSpan s_margin = TimeSpan.FromMinutes(5);
    private readonly SemaphoreSlim _turn = new(1, 1);
    private AccessToken? _token;

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", await GetTokenAsync(cancellationToken));
        return await base.SendAsync(request, cancellationToken);
    }

    protected override void Dispose(bool disposing)
    {
        _turn.Dispose();
        base.Dispose(disposing);
    }

    private async Task<string> GetTokenAsync(CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            if (_token is not { } token || token.ExpiresOn - time.GetUtcNow() < s_margin)
            {
                _token = token = await credential.Value.GetTokenAsync(new TokenRequestContext([scope]), cancellationToken);
            }

            return token.Token;
        }
        catch (AuthenticationFailedException exception)
        {
            throw new CommandFailedException($"Entra ID gives no token for {scope}: {exception.Message}");
        }
        finally
        {
            _turn.Release();
        }
    }
}

namespace WixOAuth.Functions.Tests.Faults;

/// <summary>Injects faults between the real Azure SDK and the blobs of a real Azurite.</summary>
internal sealed class FaultyBlobs(FaultyCalls calls) : DelegatingHandler(new SocketsHttpHandler { AllowAutoRedirect = false })
{
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Assert.NotEqual("elsewhere.example.com", request.RequestUri!.Host);
        if (calls.Meet(KindOf(request)) is not { } fault)
        {
            return await base.SendAsync(request, cancellationToken);
        }

        if (fault.Acts)
        {
            (await base.SendAsync(request, cancellationToken)).Dispose();
        }

        return await fault.HappenToStorageAsync(request, cancellationToken);
    }

    private static string KindOf(HttpRequestMessage request)
    {
        var url = Uri.UnescapeDataString(request.RequestUri!.PathAndQuery);
        var what = url.Contains("manifest", StringComparison.Ordinal) ? "manifest" : "part";
        return (request.Method == HttpMethod.Put, url) switch
        {
            (true, _) when url.Contains("restype=container", StringComparison.Ordinal) => "create container",
            (false, _) when url.Contains("comp=list", StringComparison.Ordinal) && url.Contains("prefix=manifests", StringComparison.Ordinal) => "list backups",
            (false, _) when url.Contains("comp=list", StringComparison.Ordinal) => "list forgotten instances",
            (true, _) when url.Contains("comp=blocklist", StringComparison.Ordinal) => $"commit {what}",
            (true, _) when url.Contains("comp=block", StringComparison.Ordinal) => $"write block of {what}",
            (true, _) => $"write {what}",
            _ when request.Method == HttpMethod.Head => $"read properties of {what}",
            _ => $"read {what}",
        };
    }
}

namespace WixOAuth.Functions.Tests.Faults;

/// <summary>The wire between the real Azure SDK and the blobs of a real Azurite.</summary>
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

        // The SDK's own network timeout ends a silence; it runs by the machine's clock, so it is brought about here.
        return fault.Is is Fault.Kind.Silence
            ? throw new TaskCanceledException("The network was too slow.")
            : await fault.HappenAsync(request, TimeProvider.System, cancellationToken);
    }

    private static string KindOf(HttpRequestMessage request)
    {
        var url = Uri.UnescapeDataString(request.RequestUri!.PathAndQuery);
        var what = url.Contains("manifest", StringComparison.Ordinal) ? "manifest" : "part of the copy";
        return (request.Method == HttpMethod.Put, url) switch
        {
            (true, _) when url.Contains("restype=container", StringComparison.Ordinal) => "make container",
            (false, _) when url.Contains("comp=list", StringComparison.Ordinal) => "list forgotten sites",
            (true, _) => $"write {what}",
            _ => $"read {what}",
        };
    }
}

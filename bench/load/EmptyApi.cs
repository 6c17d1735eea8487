namespace WixOAuth.Load;

/// <summary>The least that ASP.NET Core can do, on the same Kestrel as WixOAuth.Local: what everything is measured against.</summary>
internal static class EmptyApi
{
    /// <summary>Serves until its standard input ends, as it does however the program that started it ends.</summary>
    public static async Task RunAsync(string url)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { EnvironmentName = Environments.Production });
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.AddServerHeader = false).UseUrls(url);
        builder.Services.AddRoutingCore();
        await using var app = builder.Build();
        app.UseRouting();
        app.MapGet("/", () => Results.Ok());
        app.UseEndpoints(_ => { });
        await app.StartAsync();
        await Console.In.ReadToEndAsync();
    }
}

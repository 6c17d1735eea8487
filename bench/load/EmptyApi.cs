namespace WixOAuth.Load;

/// <summary>
/// An empty minimal API as <c>dotnet new web</c> makes it, with that template's log levels, on the same Kestrel as
/// WixOAuth.Local: what everything is measured against.
/// </summary>
internal static class EmptyApi
{
    /// <summary>Serves until its standard input ends, as it does however the program that started it ends.</summary>
    public static async Task RunAsync(string url)
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = Environments.Production });
        builder.Configuration["Logging:LogLevel:Microsoft.AspNetCore"] = "Warning";
        builder.WebHost.UseUrls(url);
        await using var app = builder.Build();
        app.MapGet("/", () => "Hello World!");
        app.MapPost("/", () => "Hello World!");
        await app.StartAsync();
        await Console.In.ReadToEndAsync();
    }
}

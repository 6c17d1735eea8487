using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace WixOAuth.Client.Tests;

public sealed class OptionsTests
{
    [Theory]
    [InlineData(null, "key", "Url")]
    [InlineData("http://tokens.example", "key", "Url")]
    [InlineData("ftp://tokens.example", "key", "Url")]
    [InlineData("https://tokens.example", null, "Key")]
    [InlineData("https://tokens.example", "s3cret\n", "Key")]
    [InlineData("https://tokens.example", "s3crét", "Key")]
    [InlineData("https://tokens.example", "s3cret\u007f", "Key")]
    public void Bad_options_are_named_when_the_host_starts_and_the_key_never_quoted(string? url, string? key, string named)
    {
        var services = new ServiceCollection();
        services.AddWixOAuthClient(options => (options.Url, options.Key) = (url is null ? null : new Uri(url), key));
        using var provider = services.BuildServiceProvider();

        var thrown = Assert.Throws<OptionsValidationException>(() => provider.GetRequiredService<IStartupValidator>().Validate());

        Assert.StartsWith(named, Assert.Single(thrown.Failures), StringComparison.Ordinal);
        Assert.DoesNotContain("s3cr", thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_handler_of_the_application_follows_no_redirect_to_which_the_key_would_go_along()
    {
        using var sockets = new SocketsHttpHandler();
        using var older = new HttpClientHandler();
        Assert.False(Configured(sockets).AllowAutoRedirect);
        Assert.False(Configured(older).AllowAutoRedirect);

        using var inner = new SocketsHttpHandler();
        using var outer = new Outer { InnerHandler = new Outer { InnerHandler = inner } };
        Configured(outer);
        Assert.False(inner.AllowAutoRedirect);
    }

    [Fact]
    public void A_second_registration_changes_the_options_of_the_first()
    {
        var services = new ServiceCollection();
        services.AddWixOAuthClient(options => (options.Url, options.Key) = (new Uri("https://one.example"), "key"));
        services.AddWixOAuthClient(options => options.Url = new Uri("https://two.example"));
        using var provider = services.BuildServiceProvider();

        Assert.Single(provider.GetServices<IWixTokenClient>());
        var options = provider.GetRequiredService<IOptions<WixOAuthClientOptions>>().Value;
        Assert.Equal(("https://two.example/", "key"), (options.Url!.ToString(), options.Key));
    }

    [Fact]
    public void An_entra_token_alone_is_enough() => Assert.True(new WixOAuthClientOptionsValidator()
        .Validate(null, new() { Url = new Uri("https://tokens.example"), GetEntraToken = _ => ValueTask.FromResult("") }).Succeeded);

    [Fact]
    public void The_key_is_not_in_the_text_of_the_options() =>
        Assert.DoesNotContain("s3cret", new WixOAuthClientOptions { Url = new Uri("https://x.example/?s3cret"), Key = "s3cret" }.ToString(), StringComparison.Ordinal);

    private static T Configured<T>(T handler)
        where T : HttpMessageHandler
    {
        var services = new ServiceCollection();
        services
            .AddWixOAuthClient(options => (options.Url, options.Key) = (new Uri("https://tokens.example"), "key"))
            .ConfigurePrimaryHttpMessageHandler(() => handler);
        using var provider = services.BuildServiceProvider();
        provider.GetRequiredService<IHttpClientFactory>().CreateClient("WixOAuth.Client").Dispose();
        return handler;
    }

    private sealed class Outer : DelegatingHandler;
}

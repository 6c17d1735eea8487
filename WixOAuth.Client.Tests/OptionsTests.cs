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
    public void Bad_options_are_named_when_the_host_starts_and_the_key_never_quoted(string? url, string? key, string named)
    {
        var services = new ServiceCollection();
        services.AddWixOAuthClient(options => (options.Url, options.Key) = (url is null ? null : new Uri(url), key));
        using var provider = services.BuildServiceProvider();

        var thrown = Assert.Throws<OptionsValidationException>(() => provider.GetRequiredService<IStartupValidator>().Validate());

        Assert.StartsWith(named, Assert.Single(thrown.Failures), StringComparison.Ordinal);
        Assert.DoesNotContain("s3cret", thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_entra_token_alone_is_enough() => Assert.True(new WixOAuthClientOptionsValidator()
        .Validate(null, new() { Url = new Uri("https://tokens.example"), GetEntraToken = _ => ValueTask.FromResult("") }).Succeeded);

    [Fact]
    public void The_key_is_not_in_the_text_of_the_options() =>
        Assert.DoesNotContain("s3cret", new WixOAuthClientOptions { Url = new Uri("https://x.example/?s3cret"), Key = "s3cret" }.ToString(), StringComparison.Ordinal);
}

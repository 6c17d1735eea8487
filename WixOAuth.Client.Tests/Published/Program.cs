// Asks for a token, calls Wix with it and verifies an event. Arguments: the service's address, the function key, Wix's
// address, an instance, the event secret, and the headers of the event, whose body is the standard input.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Client;

Console.WriteLine($"{RuntimeInformation.FrameworkDescription}, {(RuntimeFeature.IsDynamicCodeSupported ? "JIT" : "AOT")}");

var services = new ServiceCollection();
services.AddWixOAuthClient(options => (options.Url, options.Key) = (new Uri(args[0]), args[1]));
services.AddHttpClient("wix", client => client.BaseAddress = new Uri(args[2])).AddWixAuthorization();
await using var provider = services.BuildServiceProvider();

using var request = new HttpRequestMessage(HttpMethod.Get, "/apps/v1/instance").SetWixInstance(Guid.Parse(args[3]));
using var response = await provider.GetRequiredService<IHttpClientFactory>().CreateClient("wix").SendAsync(request);
Console.WriteLine($"{(int)response.StatusCode} {await response.Content.ReadAsStringAsync()}");

try
{
    await provider.GetRequiredService<IWixTokenClient>().GetTokenAsync(Guid.NewGuid());
}
catch (WixOAuthException exception)
{
    Console.WriteLine($"{exception.GetType().Name} {exception.Code}");
}

using var body = new MemoryStream();
await Console.OpenStandardInput().CopyToAsync(body);
var change = new EventVerifier(args[4]).Verify(body.ToArray(), args[5], args[6], args[7]);
Console.WriteLine($"{change.Type} of {change.Data?.Site?.Name}");

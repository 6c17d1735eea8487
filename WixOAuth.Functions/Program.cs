using Microsoft.Azure.Functions.Worker.Builder;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using WixOAuth;

var builder = FunctionsApplication.CreateBuilder(args);
builder.ConfigureFunctionsWebApplication();

// The worker and Kestrel log whole URLs at Information: with the code, the state and the function key in them.
builder.Logging.AddFilter("Microsoft.AspNetCore", LogLevel.Warning);
builder.Logging.AddFilter("Microsoft.Azure.Functions.Worker", LogLevel.Warning);
builder.Services.AddWixOAuth(builder.Configuration);

await builder.Build().RunAsync();

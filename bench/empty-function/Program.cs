using Microsoft.Azure.Functions.Worker.Builder;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

var builder = FunctionsApplication.CreateBuilder(args);
builder.ConfigureFunctionsWebApplication();

// As in WixOAuth.Functions: with the logs of each request it would be slower, and the comparison too kind.
builder.Logging.AddFilter("Microsoft.AspNetCore", LogLevel.Warning).AddFilter("Microsoft.Azure.Functions.Worker", LogLevel.Warning);
await builder.Build().RunAsync();

using Microsoft.Azure.Functions.Worker.Builder;
using Microsoft.Azure.Functions.Worker.OpenTelemetry;
using Microsoft.Extensions.Hosting;
using WixOAuth;
using WixOAuth.Functions;

var builder = FunctionsApplication.CreateBuilder(args);
builder.ConfigureFunctionsWebApplication();

builder.Logging.KeepQueryStringsOut();
builder.Services.AddWixOAuth(builder.Configuration);

// The Functions host traces the requests; the worker adds which function it ran for each.
builder.Services.AddTelemetryExport(builder.Configuration)?.UseFunctionsWorkerDefaults();

await builder.Build().RunAsync();

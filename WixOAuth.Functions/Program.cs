using Microsoft.Azure.Functions.Worker.Builder;
using Microsoft.Azure.Functions.Worker.Core.FunctionMetadata;
using Microsoft.Azure.Functions.Worker.OpenTelemetry;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using WixOAuth.Functions;

try
{
    var builder = FunctionsApplication.CreateBuilder(args);
    builder.ConfigureFunctionsWebApplication();
    builder.Logging.KeepQueryStringsOut();

    // The Functions host traces the requests; the worker adds which function it ran for each.
    builder.Services.AddSingleton<IFunctionMetadataTransformer, OptionalFunctions>();
    builder.Services.AddWixOAuthHost(builder.Configuration)?.UseFunctionsWorkerDefaults();

    await builder.Build().RunAsync();
    return 0;
}
catch (OptionsValidationException invalid)
{
    foreach (var failure in invalid.Failures)
    {
        await Console.Error.WriteLineAsync(failure);
    }

    return 1;
}

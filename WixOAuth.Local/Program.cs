using WixOAuth.Local;

using var stop = new StopSignal();
try
{
    await using var host = await LocalHost.StartAsync(LocalSettings.Read(args), overrides: null, stop.Token);
    foreach (var line in host.StartLines)
    {
        Console.WriteLine(line);
    }

    await host.WaitAsync(stop.Token);
    return stop.Token.IsCancellationRequested ? 0 : 1;
}
catch (OperationCanceledException) when (stop.Token.IsCancellationRequested)
{
    return 0;
}
catch (Exception exception) when (StartFailure.Explain(exception) is { } lines)
{
    foreach (var line in lines)
    {
        await Console.Error.WriteLineAsync(line);
    }

    return 1;
}

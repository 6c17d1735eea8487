using WixOAuth.Local;

using var stop = new StopSignal();
try
{
    await using IRunningProgram program = args is [PretendWixAlone.Name, .. var others]
        ? await PretendWixAlone.StartAsync(LocalSettings.Read(others), stop.Token)
        : await LocalHost.StartAsync(LocalSettings.Read(args), overrides: null, stop.Token);
    foreach (var line in program.StartLines)
    {
        Console.WriteLine(line);
    }

    await program.WaitAsync(stop.Token);
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

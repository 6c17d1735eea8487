namespace WixOAuth.Browser.Tests;

/// <summary>Holds everybody until all are there.</summary>
internal static class Meeting
{
    public static Func<Task> Of(int count)
    {
        var everybody = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return () =>
        {
            if (Interlocked.Decrement(ref count) == 0)
            {
                everybody.SetResult();
            }

            return everybody.Task;
        };
    }
}

using System.Reflection;

namespace WixOAuth.Fleets;

/// <summary>
/// Seeds <see cref="Random.Shared"/> of the calling thread, from which the service draws its pauses, so that a run can be
/// repeated. The framework has no public way; this one fails loudly where its inside has changed.
/// </summary>
internal static class SharedRandom
{
    private static readonly string[] s_state = ["_s0", "_s1", "_s2", "_s3"];

    public static void Seed(int seed)
    {
        // Makes the generator of this thread.
        _ = Random.Shared.Next();
        var generator = typeof(Random).GetNestedType("ThreadSafeRandom", BindingFlags.NonPublic)
            ?.GetField("t_random", BindingFlags.NonPublic | BindingFlags.Static)
            ?.GetValue(null)
            ?? throw new NotSupportedException("Random.Shared is made otherwise in this version of .NET.");
        var source = new Random(seed);
        foreach (var name in s_state)
        {
            var field = generator.GetType().GetField(name, BindingFlags.NonPublic | BindingFlags.Instance)
                ?? throw new NotSupportedException($"Random.Shared has no {name} in this version of .NET.");
            field.SetValue(generator, (ulong)source.NextInt64());
        }
    }
}

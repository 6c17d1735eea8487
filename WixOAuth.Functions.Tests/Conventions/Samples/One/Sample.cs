namespace WixOAuth.Functions.Tests.Conventions.Samples.One;

/// <summary>For <see cref="FolderTests"/>: uses the other folder in a lambda.</summary>
internal static class Sample
{
    public static Func<object> Uses() => () => Two.Sample.Uses();
}

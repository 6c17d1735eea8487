namespace WixOAuth.Functions.Tests.Conventions.Samples.Two;

/// <summary>For <see cref="FolderTests"/>: uses the other folder as a type.</summary>
internal static class Sample
{
    public static List<Type> Uses() => [typeof(One.Sample)];
}

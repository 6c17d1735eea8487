namespace WixOAuth.Programs.Tests;

[CollectionDefinition(AzuriteFixture.Name)]
public sealed class AzuriteShared : ICollectionFixture<AzuriteFixture>;

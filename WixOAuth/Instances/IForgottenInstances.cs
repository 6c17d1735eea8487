namespace WixOAuth.Instances;

/// <summary>
/// Remembers outside the table which instances were forgotten, so that a restore of an older copy does not bring their
/// tokens back. Raises <see cref="StorageUnavailableException"/>.
/// </summary>
internal interface IForgottenInstances
{
    /// <summary>Records that an instance is forgotten as of now: its id and nothing more.</summary>
    Task AddAsync(InstanceId id, CancellationToken cancellationToken);

    /// <summary>The instance was brought back on purpose.</summary>
    Task RemoveAsync(InstanceId id, CancellationToken cancellationToken);
}

/// <summary>For a service without copies: there is nothing that could bring a forgotten instance back.</summary>
internal sealed class NoForgottenInstances : IForgottenInstances
{
    public Task AddAsync(InstanceId id, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task RemoveAsync(InstanceId id, CancellationToken cancellationToken) => Task.CompletedTask;
}

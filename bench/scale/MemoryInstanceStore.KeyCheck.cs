using System.Globalization;
using WixOAuth.Instances;

namespace WixOAuth.Scale;

internal sealed partial class MemoryInstanceStore : IKeyCheckStore
{
    private StoredKeyCheck? _keyCheck;

    Task<StoredKeyCheck?> IKeyCheckStore.FindKeyCheckAsync(CancellationToken cancellationToken) => Locked(() => _keyCheck, cancellationToken);

    Task<bool> IKeyCheckStore.TryWriteKeyCheckAsync(StoredKeyCheck? previous, ProtectedText check, CancellationToken cancellationToken) => Locked(
        () =>
        {
            if (_keyCheck?.ETag != previous?.ETag)
            {
                return false;
            }

            _keyCheck = new StoredKeyCheck(check, (++_version).ToString(CultureInfo.InvariantCulture));
            return true;
        },
        cancellationToken);
}

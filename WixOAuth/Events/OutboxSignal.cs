using System.Threading.Channels;
using WixOAuth.Instances;

namespace WixOAuth.Events;

/// <summary>
/// Tells the delivery in this process that an instance has a new event. When more than <see cref="Capacity"/> wait, the
/// oldest signal is dropped; the sweep finds its event within a minute.
/// </summary>
internal sealed class OutboxSignal
{
    private const int Capacity = 1_000;

    private readonly Channel<InstanceId> _written = Channel.CreateBounded<InstanceId>(
        new BoundedChannelOptions(Capacity) { FullMode = BoundedChannelFullMode.DropOldest });

    public ChannelReader<InstanceId> Written => _written.Reader;

    public void Set(InstanceId id) => _written.Writer.TryWrite(id);
}

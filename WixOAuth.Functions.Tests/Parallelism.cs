// One test at a time: fake time may only pass while nothing else is under way, and a machine that is busy with other
// tests looks the same from inside as one that is too slow.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

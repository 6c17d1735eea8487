// One test at a time: they start programs, which on a busy machine look as if they were too slow.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

using System.Reflection;
using CsCheck;
using WixOAuth.Instances;
using WixOAuth.Storage;
using static WixOAuth.Functions.Tests.Storage.Samples;

namespace WixOAuth.Functions.Tests.Storage;

/// <summary>What every store of instances has to do.</summary>
public abstract class InstanceStoreConformance
{
    private static readonly CancellationToken None = CancellationToken.None;

    /// <summary>A new, empty store.</summary>
    private protected abstract Task<IInstanceStore> CreateAsync();

    [Fact]
    public async Task The_due_instances_of_a_shard_are_those_that_belong_to_it()
    {
        var store = await CreateAsync();
        for (var number = 0; number < 40; number++)
        {
            await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon.AddMinutes(-number) }, None);
        }

        var all = await store.ReadDueAsync(Noon, None).ToListAsync();
        var byShard = new List<DueInstance>();
        foreach (var shard in InstanceShard.All)
        {
            var due = await store.ReadDueAsync(Noon, None, shard).ToListAsync();
            Assert.All(due, each => Assert.Equal(shard, InstanceShard.Of(each.Id)));
            byShard.AddRange(due);
        }

        Assert.Equal(40, all.Count);
        Assert.Equal(all.OrderBy(due => due.DueAt), byShard.OrderBy(due => due.DueAt));
    }

    [Fact]
    public async Task Initializing_twice_loses_nothing()
    {
        var store = await CreateAsync();
        var stored = await store.TryWriteAsync(null, NewInstance(), None);

        await store.InitializeAsync(None);

        Assert.Equal(stored, await store.FindAsync(stored!.Instance.Id, None));
    }

    [Fact]
    public async Task An_unknown_instance_is_null()
    {
        var store = await CreateAsync();

        Assert.Null(await store.FindAsync(NewId(), None));
        Assert.Null(await store.FindLastUseAsync(NewId(), None));
        Assert.Null(await States(store).FindConsumedStateAsync(NewConsumedState().Nonce, Noon, None));
    }

    [Fact]
    public async Task Every_property_of_an_instance_is_stored_and_read_back()
    {
        var store = await CreateAsync();
        var full = NewInstance();
        foreach (var property in PropertiesOf<Instance>().Where(property => property.Name != nameof(Instance.Id)))
        {
            var alone = NewInstance();
            var value = ValueOf(property.Name, property.PropertyType);
            property.SetValue(alone, value);
            property.SetValue(full, value);

            await store.TryWriteAsync(null, alone, None);
            Assert.Equal(alone, (await store.FindAsync(alone.Id, None))!.Instance);
        }

        await store.TryWriteAsync(null, full, None);
        var found = (await store.FindAsync(full.Id, None))!.Instance;
        Assert.All(PropertiesOf<Instance>(), property => Assert.Equal(property.GetValue(full), property.GetValue(found)));
    }

    [Fact]
    public async Task Every_status_grant_and_error_is_stored_and_read_back()
    {
        var store = await CreateAsync();
        foreach (var status in Enum.GetValues<InstanceStatus>())
        {
            foreach (var grant in Enum.GetValues<Grant>())
            {
                foreach (var error in Enum.GetValues<TokenError>())
                {
                    var instance = NewInstance() with { Status = status, Grant = grant, Failures = new Failures(1, 0, null, Noon, error, null) };
                    await store.TryWriteAsync(null, instance, None);
                    Assert.Equal(instance, (await store.FindAsync(instance.Id, None))!.Instance);
                }
            }
        }
    }

    [Fact]
    public async Task Properties_that_are_no_longer_set_are_removed()
    {
        var store = await CreateAsync();
        var full = NewInstance();
        foreach (var property in PropertiesOf<Instance>().Where(property => property.Name != nameof(Instance.Id)))
        {
            property.SetValue(full, ValueOf(property.Name, property.PropertyType));
        }

        var stored = await store.TryWriteAsync(null, full, None);
        var tombstone = NewInstance(full.Id) with { Status = InstanceStatus.Removed, Generation = 7 };
        Assert.NotNull(await store.TryWriteAsync(stored, tombstone, None));

        Assert.Equal(tombstone, (await store.FindAsync(full.Id, None))!.Instance);
        Assert.Empty(await DueAsync(store, DateTimeOffset.MaxValue));
    }

    [Fact]
    public async Task A_write_returns_what_a_read_then_finds()
    {
        var store = await CreateAsync();
        var first = await store.TryWriteAsync(null, NewInstance(), None);
        Assert.Equal(first, await store.FindAsync(first!.Instance.Id, None));

        var second = await store.TryWriteAsync(first, first.Instance with { CommitId = "second" }, None);
        Assert.Equal(second, await store.FindAsync(first.Instance.Id, None));
        Assert.NotEqual(first.ETag, second!.ETag);

        var third = await store.TryWriteAsync(second, first.Instance with { CommitId = "third", DueAt = Noon }, None);
        Assert.Equal(third, await store.FindAsync(first.Instance.Id, None));
        Assert.NotEqual(second.ETag, third!.ETag);
    }

    [Fact]
    public async Task An_instance_is_inserted_once()
    {
        var store = await CreateAsync();
        var first = await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None);

        Assert.Null(await store.TryWriteAsync(null, first!.Instance with { DueAt = Noon.AddHours(1), Status = InstanceStatus.Removed }, None));

        Assert.Equal(first, await store.FindAsync(first.Instance.Id, None));
        Assert.Equal([new DueInstance(first.Instance.Id, Noon)], await DueAsync(store, DateTimeOffset.MaxValue));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_write_based_on_an_old_version_changes_nothing(bool moves)
    {
        var store = await CreateAsync();
        var old = await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None);
        var current = await store.TryWriteAsync(old, old!.Instance with { Generation = 2 }, None);

        var late = moves ? old.Instance with { DueAt = Noon.AddHours(1), Status = InstanceStatus.Removed } : old.Instance with { CommitId = "late" };
        Assert.Null(await store.TryWriteAsync(old, late, None));

        Assert.Equal(current, await store.FindAsync(old.Instance.Id, None));
        Assert.Equal([new DueInstance(old.Instance.Id, Noon)], await DueAsync(store, DateTimeOffset.MaxValue));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_write_based_on_an_ETag_of_another_store_changes_nothing(bool moves)
    {
        var store = await CreateAsync();
        var elsewhere = (await (await CreateAsync()).TryWriteAsync(null, NewInstance(), None))!;

        Assert.Null(await store.TryWriteAsync(elsewhere, elsewhere.Instance with { DueAt = moves ? Noon : null }, None));

        Assert.Null(await store.FindAsync(elsewhere.Instance.Id, None));
        Assert.Empty(await DueAsync(store, DateTimeOffset.MaxValue));
    }

    [Fact]
    public async Task An_instance_cannot_replace_another()
    {
        var store = await CreateAsync();
        var stored = await store.TryWriteAsync(null, NewInstance(), None);

        await Assert.ThrowsAsync<ArgumentException>(() => store.TryWriteAsync(stored, NewInstance(), None));
    }

    [Fact]
    public async Task One_of_fifty_concurrent_writers_wins()
    {
        var store = await CreateAsync();
        var stored = (await store.TryWriteAsync(null, NewInstance(), None))!;
        for (var round = 1; round <= 2; round++)
        {
            var start = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var writers = Enumerable.Range(0, 50).Select(async number =>
            {
                await start.Task;
                return await store.TryWriteAsync(stored, stored.Instance with { CommitId = $"{number}", DueAt = Noon.AddTicks(number) }, None);
            }).ToArray();
            start.SetResult();

            var winner = Assert.Single(await Task.WhenAll(writers), written => written is not null)!;
            Assert.Equal(winner, await store.FindAsync(stored.Instance.Id, None));
            Assert.Equal([new DueInstance(stored.Instance.Id, winner.Instance.DueAt!.Value)], await DueAsync(store, DateTimeOffset.MaxValue));
            stored = winner;
        }
    }

    [Fact]
    public async Task An_instance_is_due_once_at_its_due_time()
    {
        var store = await CreateAsync();
        var stored = await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None);
        var id = stored!.Instance.Id;
        Assert.Empty(await DueAsync(store, Noon.AddTicks(-1)));
        Assert.Equal([new DueInstance(id, Noon)], await DueAsync(store, Noon));

        var later = Noon.AddTicks(1);
        stored = await store.TryWriteAsync(stored, stored.Instance with { DueAt = later }, None);
        Assert.Empty(await DueAsync(store, Noon));
        Assert.Equal([new DueInstance(id, later)], await DueAsync(store, later));

        stored = await store.TryWriteAsync(stored, stored!.Instance with { DueAt = null }, None);
        Assert.Empty(await DueAsync(store, DateTimeOffset.MaxValue));

        Assert.NotNull(await store.TryWriteAsync(stored, stored!.Instance with { DueAt = Noon }, None));
        Assert.Equal([new DueInstance(id, Noon)], await DueAsync(store, Noon));
    }

    [Fact]
    public async Task A_missing_row_of_the_due_index_does_not_prevent_a_write()
    {
        var store = await CreateAsync();
        var stored = await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None);
        var due = new DueInstance(stored!.Instance.Id, Noon);
        await store.RemoveDueAsync(due, None);
        await store.RemoveDueAsync(due, None);
        Assert.Empty(await DueAsync(store, Noon));

        var moved = await store.TryWriteAsync(stored, stored.Instance with { DueAt = Noon.AddHours(1), Status = InstanceStatus.ReinstallRequired }, None);

        Assert.Equal(moved, await store.FindAsync(due.Id, None));
        Assert.Equal([due with { DueAt = Noon.AddHours(1) }], await DueAsync(store, DateTimeOffset.MaxValue));
    }

    [Fact]
    public async Task All_due_instances_are_read_in_order_and_no_others()
    {
        var store = await CreateAsync();
        var shard = InstanceRows.ShardOf(NewId());
        var instances = Ids().Where(id => InstanceRows.ShardOf(id) == shard).Take(1_200)
            .Select((id, number) => NewInstance(id) with { DueAt = Noon.AddSeconds(-(number * 7919 % 1_200)) })
            .ToList();
        var others = Ids().Take(20).Select(id => NewInstance(id) with { DueAt = Noon.AddTicks(1) });
        await Parallel.ForEachAsync(
            instances.Concat(others),
            new ParallelOptions { MaxDegreeOfParallelism = 16 },
            async (instance, _) => Assert.NotNull(await store.TryWriteAsync(null, instance, None)));

        var due = await DueAsync(store, Noon);

        Assert.Equal(instances.OrderBy(instance => instance.DueAt).Select(instance => new DueInstance(instance.Id, instance.DueAt!.Value)), due);

        static IEnumerable<InstanceId> Ids()
        {
            while (true)
            {
                yield return NewId();
            }
        }
    }

    [Fact]
    public async Task Due_instances_can_be_written_while_they_are_read()
    {
        var store = await CreateAsync();
        for (var number = 0; number < 40; number++)
        {
            await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None);
        }

        var seen = new List<InstanceId>();
        await foreach (var due in store.ReadDueAsync(Noon, None))
        {
            seen.Add(due.Id);
            var stored = await store.FindAsync(due.Id, None);
            Assert.NotNull(await store.TryWriteAsync(stored, stored!.Instance with { DueAt = Noon.AddHours(1) }, None));
        }

        Assert.Equal(40, seen.Distinct().Count());
        Assert.Equal(40, seen.Count);
        Assert.Empty(await DueAsync(store, Noon));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Removing_an_instance_removes_its_index_rows_and_last_use(bool indexed)
    {
        var store = await CreateAsync();
        var kept = await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon, Status = InstanceStatus.Removed }, None);
        var stored = (await store.TryWriteAsync(null, NewInstance() with { DueAt = indexed ? Noon : null, Status = InstanceStatus.Removed }, None))!;
        var id = stored.Instance.Id;
        if (indexed)
        {
            await store.SaveLastUseAsync(id, Noon, None);
        }

        Assert.True(await store.TryRemoveAsync(stored, None));
        Assert.False(await store.TryRemoveAsync(stored, None));

        Assert.Null(await store.FindAsync(id, None));
        Assert.Null(await store.FindLastUseAsync(id, None));
        Assert.Equal([kept!.Instance.Id], await IdsAsync(store, InstanceStatus.Removed));
        Assert.Equal([new DueInstance(kept.Instance.Id, Noon)], await DueAsync(store, DateTimeOffset.MaxValue));
        Assert.NotNull(await store.TryWriteAsync(null, NewInstance(id), None));
    }

    [Fact]
    public async Task An_instance_without_its_index_rows_can_be_removed()
    {
        var store = await CreateAsync();
        var stored = (await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None))!;
        await store.RemoveDueAsync(new DueInstance(stored.Instance.Id, Noon), None);

        Assert.True(await store.TryRemoveAsync(stored, None));

        Assert.Null(await store.FindAsync(stored.Instance.Id, None));
    }

    [Fact]
    public async Task An_instance_that_was_written_since_is_not_removed()
    {
        var store = await CreateAsync();
        var old = (await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None))!;
        await store.SaveLastUseAsync(old.Instance.Id, Noon, None);
        var current = await store.TryWriteAsync(old, old.Instance with { Generation = 2 }, None);

        Assert.False(await store.TryRemoveAsync(old, None));

        Assert.Equal(current, await store.FindAsync(old.Instance.Id, None));
        Assert.Equal(Noon, await store.FindLastUseAsync(old.Instance.Id, None));
        Assert.Single(await DueAsync(store, Noon));
    }

    [Fact]
    public async Task Listing_by_status_returns_the_instances_that_have_it_now()
    {
        var store = await CreateAsync();
        foreach (var status in Enum.GetValues<InstanceStatus>())
        {
            for (var number = 0; number < 20; number++)
            {
                await store.TryWriteAsync(null, NewInstance() with { Status = status, DueAt = Noon }, None);
            }
        }

        var moved = (await store.FindAsync((await IdsAsync(store, InstanceStatus.Active))[0], None))!;
        await store.TryWriteAsync(moved, moved.Instance with { Status = InstanceStatus.Removed }, None);

        foreach (var (status, count) in new[] { (InstanceStatus.Active, 19), (InstanceStatus.ReinstallRequired, 20), (InstanceStatus.Removed, 21) })
        {
            var ids = await IdsAsync(store, status);
            Assert.Equal(count, ids.Distinct().Count());
            Assert.Equal(count, ids.Count);
            Assert.Equal(status == InstanceStatus.Removed, ids.Contains(moved.Instance.Id));
        }
    }

    [Fact]
    public async Task Instances_of_a_customer_are_listed_once_each_in_list_order()
    {
        var store = await CreateAsync();
        const string Customer = "O'Neil & Søns 😀";
        List<InstanceId> mine = [];
        for (var number = 0; number < 45; number++)
        {
            var instance = NewInstance() with
            {
                Customer = (number % 3) switch { 0 => Customer, 1 => null, _ => Customer.ToUpperInvariant() },
                Status = number % 2 == 0 ? InstanceStatus.Active : InstanceStatus.ReinstallRequired,
            };
            await store.TryWriteAsync(null, instance, None);
            if (instance.Customer == Customer)
            {
                mine.Add(instance.Id);
            }
        }

        foreach (var limit in new[] { 1, 4, IInstanceStore.MaxPage })
        {
            List<Instance> listed = [];
            for (InstanceId? after = null; ;)
            {
                var page = await store.ListAsync(null, after, limit, None, Customer);
                Assert.InRange(page.Instances.Count, 0, limit);
                listed.AddRange(page.Instances);
                if ((after = page.Last) is null)
                {
                    break;
                }
            }

            Assert.Equal(mine.Count, listed.Count);
            Assert.Equal((await store.ListAsync(null, null, IInstanceStore.MaxPage, None)).Instances.Select(instance => instance.Id).Where(mine.Contains), listed.Select(instance => instance.Id));
        }

        var active = await store.ListAsync(InstanceStatus.Active, null, IInstanceStore.MaxPage, None, Customer);
        Assert.Equal(8, active.Instances.Count);
        Assert.All(active.Instances, instance => Assert.Equal((Customer, InstanceStatus.Active), (instance.Customer, instance.Status)));
        Assert.Empty((await store.ListAsync(null, null, 1, None, "nobody")).Instances);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => store.ListAsync(null, null, 0, None, Customer));
    }

    [Fact]
    public async Task A_consumed_state_is_recorded_once()
    {
        var store = await CreateAsync();
        var consumed = NewConsumedState();
        Assert.True(await States(store).TryAddConsumedStateAsync(consumed, None));

        Assert.False(await States(store).TryAddConsumedStateAsync(consumed with { InstanceId = NewId(), AttemptId = "another" }, None));

        Assert.Equal(consumed, await States(store).FindConsumedStateAsync(consumed.Nonce, consumed.IssuedAt, None));
    }

    [Fact]
    public async Task Every_property_of_a_consumed_state_is_stored_and_read_back()
    {
        var store = await CreateAsync();
        foreach (var outcome in Enum.GetValues<ConsumedStateOutcome>())
        {
            var consumed = NewConsumedState();
            await States(store).TryAddConsumedStateAsync(consumed, None);
            foreach (var property in PropertiesOf<ConsumedState>().Where(property => property.Name is not (nameof(ConsumedState.Nonce) or nameof(ConsumedState.IssuedAt))))
            {
                property.SetValue(consumed, ValueOf(property.Name, property.PropertyType));
            }

            var ended = consumed with { Outcome = outcome };
            await States(store).SaveConsumedStateAsync(ended, None);

            var found = await States(store).FindConsumedStateAsync(consumed.Nonce, consumed.IssuedAt, None);
            Assert.All(PropertiesOf<ConsumedState>(), property => Assert.Equal(property.GetValue(ended), property.GetValue(found)));
        }
    }

    [Fact]
    public async Task Only_old_consumed_states_are_removed_up_to_the_limit()
    {
        var store = await CreateAsync();
        var old = Enumerable.Range(0, 60).Select(number => NewConsumedState(Noon.AddTicks(-1 - number))).ToList();
        var kept = NewConsumedState(Noon);
        foreach (var consumed in old.Append(kept))
        {
            Assert.True(await States(store).TryAddConsumedStateAsync(consumed, None));
        }

        Assert.Equal(0, await States(store).RemoveConsumedStatesAsync(Noon, 0, None));
        Assert.Equal(25, await States(store).RemoveConsumedStatesAsync(Noon, 25, None));
        Assert.Equal(35, await States(store).RemoveConsumedStatesAsync(Noon, 100, None));
        Assert.Equal(0, await States(store).RemoveConsumedStatesAsync(Noon, 100, None));

        foreach (var consumed in old)
        {
            Assert.Null(await States(store).FindConsumedStateAsync(consumed.Nonce, consumed.IssuedAt, None));
        }

        Assert.Equal(kept, await States(store).FindConsumedStateAsync(kept.Nonce, kept.IssuedAt, None));
    }

    [Fact]
    public async Task The_last_use_is_stored_beside_the_instance()
    {
        var store = await CreateAsync();
        var stored = await store.TryWriteAsync(null, NewInstance(), None);
        var id = stored!.Instance.Id;

        await store.SaveLastUseAsync(id, Noon, None);
        Assert.Equal(Noon, await store.FindLastUseAsync(id, None));
        await store.SaveLastUseAsync(id, Noon.AddTicks(1), None);
        Assert.Equal(Noon.AddTicks(1), await store.FindLastUseAsync(id, None));

        Assert.Equal(stored, await store.FindAsync(id, None));
    }

    [Fact]
    public async Task An_empty_list_has_one_page()
    {
        var store = await CreateAsync();
        foreach (var status in Enum.GetValues<InstanceStatus>().Cast<InstanceStatus?>().Append(null))
        {
            var page = await store.ListAsync(status, null, 1, None);
            Assert.Empty(page.Instances);
            Assert.Null(page.Last);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(201)]
    public async Task The_size_of_a_page_is_bounded(int limit)
    {
        var store = await CreateAsync();

        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => store.ListAsync(null, null, limit, None));
    }

    [Fact]
    public async Task Pages_list_each_of_400_instances_once_and_filter_by_status()
    {
        var store = await CreateAsync();
        var all = Enumerable.Range(0, 400).Select(number => NewInstance() with
        {
            Status = number % 100 == 0 ? InstanceStatus.ReinstallRequired : number % 3 == 0 ? InstanceStatus.Removed : InstanceStatus.Active,
            Customer = $"{number}",
            DueAt = number % 2 == 0 ? Noon : null,
        }).ToList();
        await Parallel.ForEachAsync(
            all, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (instance, _) => await store.TryWriteAsync(null, instance, None));
        await store.SaveLastUseAsync(all[0].Id, Noon, None);
        await States(store).TryAddConsumedStateAsync(NewConsumedState(), None);

        foreach (var (status, limit) in new (InstanceStatus?, int)[]
        {
            (null, 200), (null, 7), (InstanceStatus.Active, 200), (InstanceStatus.Active, 33), (InstanceStatus.Removed, 50), (InstanceStatus.ReinstallRequired, 1),
        })
        {
            var wanted = all.Where(instance => instance.Status == (status ?? instance.Status)).ToList();
            var (listed, pages) = await ListAsync(store, status, limit);

            Assert.Equal(wanted.OrderBy(Key), listed.OrderBy(Key));
            Assert.Equal((wanted.Count + limit - 1) / limit, pages);
        }

        Assert.Equal((await ListAsync(store, InstanceStatus.Active, 33)).All, (await ListAsync(store, InstanceStatus.Active, 33)).All);

        static string Key(Instance instance) => instance.Id.ToString();
    }

    [Fact]
    public async Task Paging_continues_after_an_instance_that_has_changed_since()
    {
        var store = await CreateAsync();
        for (var number = 0; number < 30; number++)
        {
            await store.TryWriteAsync(null, NewInstance(), None);
        }

        var first = await store.ListAsync(InstanceStatus.Active, null, 10, None);
        var last = await store.FindAsync(first.Last!.Value, None);
        await store.TryWriteAsync(last, last!.Instance with { Status = InstanceStatus.Removed }, None);
        var rest = await store.ListAsync(InstanceStatus.Active, first.Last, 200, None);

        Assert.Equal((10, 20), (first.Instances.Count, rest.Instances.Count));
        Assert.Equal(30, first.Instances.Concat(rest.Instances).Select(instance => instance.Id).Distinct().Count());
        Assert.Null(rest.Last);
    }

    /// <summary>Whatever is written from page to page: an instance that exists throughout is listed once, and none twice.</summary>
    [Fact]
    public async Task Writes_between_pages_neither_hide_nor_repeat_an_instance()
    {
        var status = Gen.Enum<InstanceStatus>();
        var change = Gen.Select(Gen.Int[0, 59], Gen.Int[0, 3], status);
        await Gen.Select(Gen.Int[1, 9], Gen.Bool, status.Array[30], change.Array[0, 6].Array[12]).SampleAsync(
            async (limit, filters, statuses, changes) =>
            {
                var store = await CreateAsync();
                var ids = Enumerable.Range(0, 60).Select(_ => NewId()).ToList();
                var asked = filters ? InstanceStatus.Active : (InstanceStatus?)null;
                var now = new Dictionary<InstanceId, StoredInstance>();
                foreach (var (id, first) in ids.Zip(statuses))
                {
                    now[id] = (await store.TryWriteAsync(null, NewInstance(id) with { Status = first }, None))!;
                }

                bool IsWanted(InstanceId id) => now.TryGetValue(id, out var stored) && (asked is null || stored.Instance.Status == asked);
                var throughout = ids.Where(IsWanted).ToHashSet();
                var listed = new List<InstanceId>();
                var last = (InstanceId?)null;
                var turn = 0;
                do
                {
                    var page = await store.ListAsync(asked, last, limit, None);
                    Assert.All(page.Instances, instance => Assert.Equal(now[instance.Id].Instance, instance));
                    listed.AddRange(page.Instances.Select(instance => instance.Id));
                    last = page.Last;
                    foreach (var (who, what, to) in changes[turn++ % changes.Length])
                    {
                        var id = ids[who];
                        var stored = now.GetValueOrDefault(id);
                        if (what == 0 && stored is not null)
                        {
                            Assert.True(await store.TryRemoveAsync(stored, None));
                            now.Remove(id);
                        }
                        else
                        {
                            now[id] = (await store.TryWriteAsync(stored, (stored?.Instance ?? NewInstance(id)) with { Status = to, Customer = $"{turn}" }, None))!;
                        }

                        throughout.RemoveWhere(each => !IsWanted(each));
                    }

                    Assert.True(turn < 100, "The list does not end.");
                }
                while (last is not null);

                Assert.Equal(listed.Count, listed.Distinct().Count());
                Assert.Subset(listed.ToHashSet(), throughout);
            },
            iter: 12,
            threads: 1);
    }

    private static async Task<(List<Instance> All, int Pages)> ListAsync(IInstanceStore store, InstanceStatus? status, int limit)
    {
        var (all, pages, last) = (new List<Instance>(), 0, (InstanceId?)null);
        do
        {
            var page = await store.ListAsync(status, last, limit, None);
            Assert.InRange(page.Instances.Count, 0, limit);
            all.AddRange(page.Instances);
            last = page.Last;
            pages++;
        }
        while (last is not null);
        return (all, pages);
    }

    [Fact]
    public async Task A_cancelled_caller_gets_an_OperationCanceledException()
    {
        var store = await CreateAsync();
        var gone = new CancellationToken(canceled: true);
        var consumed = NewConsumedState();
        Func<Task>[] calls =
        [
            () => store.InitializeAsync(gone),
            () => store.FindAsync(NewId(), gone),
            () => store.TryWriteAsync(null, NewInstance(), gone),
            async () =>
            {
                await Assert.ThrowsAnyAsync<OperationCanceledException>(() => store.ListAsync(null, null, 1, gone));
                await store.ListAsync(null, null, 1, gone, "customer");
            },
            async () =>
            {
                await Assert.ThrowsAnyAsync<OperationCanceledException>(
                    async () => await store.ReadDueAsync(Noon, gone, new InstanceShard(3)).GetAsyncEnumerator(gone).MoveNextAsync());
                await store.ReadDueAsync(Noon, gone).GetAsyncEnumerator(gone).MoveNextAsync();
            },
            () => store.TryRemoveAsync(new StoredInstance(NewInstance(), "any"), gone),
            async () => await store.ReadSummariesAsync(gone).GetAsyncEnumerator(gone).MoveNextAsync(),
            () => store.RemoveDueAsync(new DueInstance(NewId(), Noon), gone),
            () => States(store).TryAddConsumedStateAsync(consumed, gone),
            () => States(store).FindConsumedStateAsync(consumed.Nonce, Noon, gone),
            () => States(store).SaveConsumedStateAsync(consumed, gone),
            () => States(store).RemoveConsumedStatesAsync(Noon, 1, gone),
            () => store.FindLastUseAsync(NewId(), gone),
            () => store.SaveLastUseAsync(NewId(), Noon, gone),
        ];
        Assert.Equal(
            new[] { typeof(IInstanceStore), typeof(IConsumedStateStore) }.Sum(type => type.GetMethods(BindingFlags.Instance | BindingFlags.Public).Length),
            calls.Length);

        foreach (var call in calls)
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(call);
        }
    }

    [Fact]
    public async Task A_summary_has_what_the_overview_counts()
    {
        var store = await CreateAsync();
        var well = NewInstance() with { Status = InstanceStatus.Active, Failures = null, AccessTokenExpiresOn = Noon, DueAt = Noon.AddDays(1) };
        var failing = NewInstance() with { Status = InstanceStatus.Active, AccessTokenExpiresOn = Noon.AddHours(1), Failures = new Failures(1, 0, null, Noon, TokenError.WixUnavailable, null) };
        var removed = NewInstance() with { Status = InstanceStatus.Removed, Failures = null, AccessTokenExpiresOn = null };
        foreach (var instance in new[] { well, failing, removed })
        {
            await store.TryWriteAsync(null, instance, None);
        }

        Assert.Equal(
            [
                Summary(well, isFailing: false),
                Summary(failing, isFailing: true),
                Summary(removed, isFailing: false),
            ],
            (await store.ReadSummariesAsync(None).ToListAsync()).OrderBy(summary => summary.Status).ThenBy(summary => summary.AccessTokenExpiresOn));

        static InstanceSummary Summary(Instance of, bool isFailing) =>
            new(of.Id, of.Status, of.AccessTokenExpiresOn, of.DueAt, isFailing, of.RefreshToken?.KeyId, of.AccessToken?.KeyId);
    }

    /// <summary>Any sequence of writes, from any state that was ever seen, does what it does to a dictionary and a set.</summary>
    [Fact]
    public async Task Any_sequence_of_writes_matches_the_model()
    {
        var status = Gen.Enum<InstanceStatus>();
        var due = Gen.Int[-1, 3].Select(hours => hours < 0 ? (DateTimeOffset?)null : Noon.AddHours(hours));
        var step = Gen.Select(Gen.Int[0, 1], Gen.Int[0, 4], status, due, Gen.Int[0, 9]);
        await step.Array[1, 20].SampleAsync(
            async steps =>
            {
                var store = await CreateAsync();
                InstanceId[] ids = [NewId(), NewId()];
                var seen = ids.ToDictionary(id => id, _ => new List<StoredInstance>());
                var index = new HashSet<DueInstance>();
                foreach (var (who, age, toStatus, toDue, action) in steps)
                {
                    var (id, states) = (ids[who], seen[ids[who]]);
                    var current = states.LastOrDefault();
                    if (action == 0 && current?.Instance.DueAt is { } gone)
                    {
                        await store.RemoveDueAsync(new DueInstance(id, gone), None);
                        index.Remove(new DueInstance(id, gone));
                        continue;
                    }

                    // Mostly the newest state, sometimes an older one, sometimes none.
                    var previous = age == 4 ? null : states.ElementAtOrDefault(states.Count - 1 - (age / 3));
                    var instance = NewInstance(id) with { Status = toStatus, DueAt = toDue, Generation = states.Count, CommitId = $"{action}" };
                    var written = await store.TryWriteAsync(previous, instance, None);
                    Assert.Equal(previous == current, written is not null);
                    if (written is not null)
                    {
                        states.Add(written);
                        if (current?.Instance.DueAt != toDue)
                        {
                            index.RemoveWhere(row => row == new DueInstance(id, current?.Instance.DueAt ?? default));
                            index.UnionWith(toDue is { } at ? [new DueInstance(id, at)] : []);
                        }
                    }

                    Assert.Equal(states.LastOrDefault(), await store.FindAsync(id, None));
                }

                Assert.Equal(index.OrderBy(Key), (await DueAsync(store, DateTimeOffset.MaxValue)).OrderBy(Key));
                Assert.Equal(
                    index.Where(row => row.DueAt <= Noon.AddHours(1)).OrderBy(Key),
                    (await DueAsync(store, Noon.AddHours(1))).OrderBy(Key));
            },
            iter: 25);

        static string Key(DueInstance due) => $"{due.DueAt.UtcTicks} {due.Id}";
    }

    private static async Task<List<DueInstance>> DueAsync(IInstanceStore store, DateTimeOffset now)
    {
        var all = new List<DueInstance>();
        await foreach (var due in store.ReadDueAsync(now, None))
        {
            all.Add(due);
        }

        return all;
    }

    private static async Task<List<InstanceId>> IdsAsync(IInstanceStore store, InstanceStatus status) =>
        [.. (await store.ListAsync(status, null, IInstanceStore.MaxPage, None)).Instances.Select(instance => instance.Id)];

    private static IConsumedStateStore States(IInstanceStore store) => (IConsumedStateStore)store;
}

using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Http;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Instances;

/// <summary>ListInstances from the first page to the last. For what a page costs see the tests of the storage.</summary>
public sealed class ListInstancesTests
{
    [Fact]
    public async Task Ten_thousand_instances_are_listed_once_each_though_they_change_meanwhile()
    {
        using var core = new Core(new MemoryInstanceStore());
        var endpoints = core.Get<InstanceEndpoints>();
        var stored = new List<StoredInstance>();
        for (var number = 0; number < 10_000; number++)
        {
            stored.Add((await core.Store.TryWriteAsync(null, NewInstance(number % 100 == 0 ? InstanceStatus.ReinstallRequired : InstanceStatus.Active), CancellationToken.None))!);
        }

        var turn = 0;
        var all = await WalkAsync(endpoints, "limit=20", async () =>
        {
            // New ones come, and old ones get new tokens.
            await core.Store.TryWriteAsync(null, NewInstance(InstanceStatus.Active), CancellationToken.None);
            var changed = stored[turn++];
            await core.Store.TryWriteAsync(changed, changed.Instance with { Generation = 2 }, CancellationToken.None);
        });

        Assert.Equal(all.Count, all.Distinct().Count());
        Assert.Subset(all.ToHashSet(), stored.Select(each => each.Instance.Id.ToString()).ToHashSet());
        Assert.InRange(turn, 500, 527);
        Assert.Equal(
            stored.Where(each => each.Instance.Status == InstanceStatus.ReinstallRequired).Select(each => each.Instance.Id.ToString()).Order(StringComparer.Ordinal),
            (await WalkAsync(endpoints, "status=reinstall_required&limit=7", () => Task.CompletedTask)).Order(StringComparer.Ordinal));
        Assert.Empty(await WalkAsync(endpoints, "status=removed", () => Task.CompletedTask));

        Instance NewInstance(InstanceStatus status) => new()
        {
            Id = Core.NewId(),
            Status = status,
            Generation = 1,
            InstalledAt = core.Clock.GetUtcNow(),
            UpdatedAt = core.Clock.GetUtcNow(),
        };
    }

    private static async Task<List<string>> WalkAsync(InstanceEndpoints endpoints, string query, Func<Task> meanwhile)
    {
        var ids = new List<string>();
        for (var cursor = ""; ;)
        {
            var body = new MemoryStream();
            var context = new DefaultHttpContext
            {
                RequestServices = new ServiceCollection().AddLogging().BuildServiceProvider(),
                Request = { QueryString = new QueryString($"?{query}{(cursor.Length > 0 ? $"&cursor={cursor}" : "")}") },
                Response = { Body = body },
            };
            await (await endpoints.ListInstances(context.Request, CancellationToken.None)).ExecuteAsync(context);
            Assert.Equal(200, context.Response.StatusCode);
            var page = JsonSerializer.Deserialize<JsonElement>(body.ToArray());
            ids.AddRange(page.GetProperty("instances").EnumerateArray().Select(instance => instance.GetProperty("instance_id").GetString()!));
            await meanwhile();
            if (page.GetProperty("cursor").GetString() is not { } next)
            {
                return ids;
            }

            cursor = next;
        }
    }
}

using WixOAuth.Events;
using WixOAuth.Functions.Tests.Events;
using WixOAuth.Http;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Faults;

/// <summary>An operation into whose calls faults are injected. The results are under its name in docs/faults.md.</summary>
/// <param name="Name">The heading in docs/faults.md.</param>
/// <param name="Success">Its answer without a fault.</param>
/// <param name="RunAsync">Runs it and returns its answer.</param>
internal sealed record FaultOperation(string Name, string Success, Func<FaultScene, Task<string>> RunAsync)
{
    private static readonly (string, string)[] s_fallback = [("Wix__ClientCredentialsFallback", "true")];
    private static readonly (string, string)[] s_events = [("Events__Url", "https://app.example.com/events"), ("Events__Secret", EventReceiver.Secret)];

    public static IReadOnlyList<FaultOperation> All { get; } =
    [
        new("Install", "close-window", InstallAsync) { IsInstalled = false },
        new("Import of an unknown instance", "201", ImportAsync) { IsInstalled = false, Repeated = ["200"] },
        new("GetToken with a refresh", "token", GetTokenAsync),
        new("GetToken with a rejected refresh token", "token", GetTokenAsync) { Settings = s_fallback, IsRefreshTokenRejected = true },
        new("SetCustomer", "204", SetCustomerAsync) { IsWell = instance => IsHealthy(instance) && instance!.Customer == "acme" },
        new("StatusView", "200", StatusViewAsync) { OneOfEachKind = true },
        new("AppRemoved", "200", scene => scene.PostWebhookAsync("AppRemoved"))
        {
            IsWell = instance => instance is { Status: InstanceStatus.Removed, AccessToken: null, RefreshToken: null },
            IsServedAfter = false,
        },
        new("AppInstalled of an unknown instance", "200", scene => scene.PostWebhookAsync("AppInstalled"))
        {
            Settings = s_fallback,
            IsInstalled = false,
            IsWell = instance => instance is { Status: InstanceStatus.Active },
            RefreshTokenAfter = null,
        },
        new("A sweep with a refresh and a set-up event", "refreshed", scene => SweepAsync(scene, shard: null))
        {
            PrepareAsync = PendSetupAsync,
            Repeated = ["nothing to refresh"],
            OneOfEachKind = true,
        },
        new("RefreshShard with a refresh", "refreshed", scene => SweepAsync(scene, InstanceShard.Of(scene.Id)))
        {
            Repeated = ["nothing to refresh"],
            OneOfEachKind = true,
        },
        new("Delivery of an event", "1 event received", DeliverAsync)
        {
            Settings = s_events,
            PrepareAsync = scene => scene.AddEventAsync(isParked: false),
            StateAsync = scene => scene.ReadEventAsync(),
            EventAfter = "none",
            Repeated = ["no event received"],
        },
        new("Redelivery of a parked event", "202", RedeliverAsync)
        {
            Settings = s_events,
            PrepareAsync = scene => scene.AddEventAsync(isParked: true),
            StateAsync = scene => scene.ReadEventAsync(),
            EventAfter = "waiting",
        },
    ];

    /// <summary>Settings that differ from the test's default.</summary>
    public IReadOnlyList<(string Name, string Value)> Settings { get; init; } = [];

    /// <summary>Whether the site is installed and its access token expired at the start.</summary>
    public bool IsInstalled { get; init; } = true;

    /// <summary>Whether Wix rejects the refresh token.</summary>
    public bool IsRefreshTokenRejected { get; init; }

    /// <summary>Stores what the operation needs besides.</summary>
    public Func<FaultScene, Task> PrepareAsync { get; init; } = _ => Task.CompletedTask;

    /// <summary>Describes what is stored, as docs/faults.md does.</summary>
    public Func<FaultScene, Task<string>> StateAsync { get; init; } = scene => scene.ReadInstanceAsync();

    /// <summary>Whether the stored instance is as it should be after the operation.</summary>
    public Func<Instance?, bool> IsWell { get; init; } = IsHealthy;

    /// <summary>What should be stored of the event after the operation; null where there is none.</summary>
    public string? EventAfter { get; init; }

    /// <summary>Answers that are as good as <see cref="Success"/> when the operation is repeated after it was complete.</summary>
    public IReadOnlyList<string> Repeated { get; init; } = [];

    /// <summary>Whether GetToken succeeds afterwards.</summary>
    public bool IsServedAfter { get; init; } = true;

    /// <summary>The stored refresh token afterwards.</summary>
    public string? RefreshTokenAfter { get; init; } = "refresh-1";

    /// <summary>Whether one fault of each kind is enough: it refreshes by the same code as GetToken, or it only reads.</summary>
    public bool OneOfEachKind { get; init; }

    private static bool IsHealthy(Instance? instance) => instance is { Status: InstanceStatus.Active, SetupPending: false, Lease: null, Failures: null };

    private static async Task<string> InstallAsync(FaultScene scene)
    {
        try
        {
            return await scene.CompleteInstallAsync() switch
            {
                InstallResult.CloseWindow => "close-window",
                InstallResult.Stopped { Problem: var problem } => $"page: {problem}",
                var other => other.GetType().Name,
            };
        }
        catch (StorageUnavailableException)
        {
            return "page: StorageUnavailable";
        }
    }

    private static Task<string> ImportAsync(FaultScene scene) => FaultScene.AnswerAsync(
        request => scene.Core.Get<ImportEndpoint>().ImportInstance(request, $"{scene.Id}", CancellationToken.None), """{"refresh_token":"refresh-1"}""");

    private static async Task<string> GetTokenAsync(FaultScene scene) =>
        await scene.Core.Tokens.GetTokenAsync(scene.Id, TokenRequirements.Default, CancellationToken.None) is var result && result is TokenResult.Token
            ? "token"
            : result.GetType().Name;

    private static Task<string> SetCustomerAsync(FaultScene scene) => FaultScene.AnswerAsync(
        request => scene.Core.Get<InstanceEndpoints>().SetCustomer(request, $"{scene.Id}", CancellationToken.None), """{"customer":"acme"}""");

    private static Task<string> StatusViewAsync(FaultScene scene) =>
        FaultScene.AnswerAsync(request => scene.Core.Get<StatusEndpoint>().StatusView(request, CancellationToken.None));

    private static Task<string> RedeliverAsync(FaultScene scene) =>
        FaultScene.AnswerAsync(request => scene.Core.Get<ServiceEndpoints>().RedeliverEvents(request, CancellationToken.None));

    private static async Task<string> DeliverAsync(FaultScene scene)
    {
        var before = scene.Wix.EventsReceived;
        try
        {
            await scene.Core.Get<EventDelivery>().DeliverWaitingAsync(CancellationToken.None);
            return (scene.Wix.EventsReceived - before) switch
            {
                0 => "no event received",
                1 => "1 event received",
                var more => $"{more} events received",
            };
        }
        catch (StorageUnavailableException)
        {
            return "the delivery run fails";
        }
    }

    private static async Task<string> SweepAsync(FaultScene scene, InstanceShard? shard)
    {
        try
        {
            return await scene.Core.Sweep.RunAsync(CancellationToken.None, shard) switch
            {
                { Refreshed: 1 } => "refreshed",
                { Failed: 1 } => "failed",
                { Skipped: 1 } => "skipped",
                _ => "nothing to refresh",
            };
        }
        catch (StorageUnavailableException)
        {
            return "the sweep fails";
        }
    }

    private static Task PendSetupAsync(FaultScene scene) => scene.ChangeAsync(instance => instance with { SetupPending = true });
}
